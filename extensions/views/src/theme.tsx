import { signal } from "@preact/signals";
import type { JSX } from "preact";

const KEY = "codechef.theme";
const THEMES = ["auto", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];

const theme = signal<Theme>("auto");

/** Applies what was chosen here before. */
export function restoreTheme(): void {
  choose(THEMES.find((one) => one === localStorage.getItem(KEY)) ?? "auto");
}

function choose(chosen: Theme): void {
  theme.value = chosen;
  localStorage.setItem(KEY, chosen);
  document.documentElement.dataset["theme"] = chosen;
}

/** Light, dark, or as the system has it. */
export function ThemeSwitch(): JSX.Element {
  return (
    <label class="theme">
      <span class="unseen">Colours</span>
      <select
        value={theme.value}
        onChange={({ currentTarget }) =>
          choose(THEMES.find((one) => one === currentTarget.value) ?? "auto")
        }
      >
        <option value="auto">As the system</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </label>
  );
}
