/** The colours of plots: custom properties of the style sheet, followed while they change. */

/** Colours as a canvas takes them. */
export interface Colours {
  /** Of the lines, in turn. */
  lines: readonly string[];
  bound: string;
  mark: string;
  grid: string;
  text: string;
}

/** How many colours there are for lines: `--plot-1`, `--plot-2` … */
const LINES = 6;

/** Returns the colours that hold for an element. A canvas knows no custom properties: they are asked of a probe. */
export function coloursOf(element: Element): Colours {
  const probe = document.createElement("span");
  probe.hidden = true;
  element.append(probe);
  const colour = (name: string): string => {
    probe.style.color = `var(--plot-${name})`;
    return getComputedStyle(probe).color;
  };
  const colours = {
    lines: Array.from({ length: LINES }, (_, i) => colour(String(i + 1))),
    bound: colour("bound"),
    mark: colour("mark"),
    grid: colour("grid"),
    text: colour("text"),
  };
  probe.remove();
  return colours;
}

/** Calls back whenever the theme may have changed, by the system, by our switch, by the editor; returns how to stop. */
export function onTheme(changed: () => void): () => void {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", changed);
  const attributes = new MutationObserver(changed);
  for (const element of [document.documentElement, document.body]) {
    attributes.observe(element, { attributes: true });
  }
  return () => {
    dark.removeEventListener("change", changed);
    attributes.disconnect();
  };
}
