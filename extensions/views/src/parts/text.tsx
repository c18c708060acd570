import type { JSX } from "preact";
import { useState } from "preact/hooks";

const LONG = 600;
const SHORT = 240;

/** Text that anybody may have written: shown as it is, in its own direction, long text folded. */
export function Text({
  children,
  long = LONG,
  code = false,
}: {
  children: string;
  /** Characters from which it is folded. */
  long?: number;
  /** With its spaces and line breaks, in a fixed width. */
  code?: boolean;
}): JSX.Element {
  const [open, setOpen] = useState(false);
  const shown = open ? children : beginning(children, long);
  return (
    <>
      {code ? (
        <pre class="text" dir="auto">
          {shown}
        </pre>
      ) : (
        <span class="text" dir="auto">
          {shown}
        </span>
      )}
      {children.length > long ? (
        <button type="button" class="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? "Show less" : `Show all ${children.length.toLocaleString("en")} characters`}
        </button>
      ) : null}
    </>
  );
}

/** The beginning of such a text, in a link to all of it: there no button may stand that unfolds it. */
export function Beginning({ children }: { children: string }): JSX.Element {
  return (
    <span class="text" dir="auto">
      {beginning(children, SHORT)}
    </span>
  );
}

function beginning(text: string, long: number): string {
  return text.length > long ? `${text.slice(0, long)} …` : text;
}

/** A name, an id or a model: cut with an ellipsis where there is no room, whole in its title. */
export function Name({ children }: { children: string }): JSX.Element {
  return (
    <bdi class="name" title={children}>
      {children}
    </bdi>
  );
}
