import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useHost } from "../context.js";

/** Copies a text; says that it did. */
export function CopyButton({ text, of }: { text: string; of: string }): JSX.Element {
  const { host } = useHost();
  const [done, setDone] = useState<"copied" | "not allowed" | undefined>();
  const copy = (): void => {
    host.copy(text).then(
      () => setDone("copied"),
      () => setDone("not allowed"), // the browser forbids it; the text is there to be marked
    );
  };
  return (
    <>
      <button type="button" class="quiet" aria-label={`Copy ${of}`} onClick={copy}>
        Copy
      </button>
      <span role="status" class="said">
        {done ?? ""}
      </span>
    </>
  );
}
