import type { ComponentChildren, JSX } from "preact";

/**
 * Ways to the page before and the one after, where there are any.
 *
 * Neither is disabled: a button that is loses the focus, and who moves by keys their place.
 */
export function Pager({
  earlier,
  later,
  children,
}: {
  earlier: (() => void) | undefined;
  later: (() => void) | undefined;
  /** Which page this is. */
  children: ComponentChildren;
}): JSX.Element {
  return (
    <p class="pager">
      <button type="button" aria-disabled={earlier === undefined} onClick={earlier}>
        Earlier
      </button>
      <span>{children}</span>
      <button type="button" aria-disabled={later === undefined} onClick={later}>
        Later
      </button>
    </p>
  );
}
