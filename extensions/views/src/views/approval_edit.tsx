/** Changes what an approval asks for: a field for each value of the request. */

import { answered, ChefProblem, type ShownApproval } from "@codechef/client";
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";

import { useHost } from "../context.js";
import { words } from "../format.js";
import { read, written } from "../given.js";
import { ProblemBox } from "../parts/index.js";

/** Not a wish but how it was asked. */
const FIXED = ["dry_run", "agent"];

/** What may be changed, by its name in a change: of an agent's call each of its arguments. */
function editable({ request, tool_call: call }: ShownApproval): [name: string, value: unknown][] {
  if (call === null) return Object.entries(request).filter(([name]) => !FIXED.includes(name));
  return Object.entries(call.arguments).map(([name, value]) => [`arguments.${name}`, value]);
}

export function EditRequest({
  of,
  reason,
  edited,
}: {
  of: ShownApproval;
  reason: string;
  /** Told the id under which the changed request waits. */
  edited: (approvalId: string) => void;
}): JSX.Element {
  const { api } = useHost();
  const form = useRef<HTMLFormElement>(null);
  const [problem, setProblem] = useState<ChefProblem>();
  const fields = editable(of);
  const send = async (): Promise<void> => {
    if (form.current === null) return;
    const given = new FormData(form.current);
    const changes = changesIn(fields, (name) => given.get(name));
    const call = api.POST("/approvals/{approval_id}/edit", {
      params: { path: { approval_id: of.id } },
      body: { changes, reason },
    });
    try {
      edited((await answered(call)).id);
    } catch (error) {
      if (!(error instanceof ChefProblem)) throw error;
      setProblem(error);
    }
  };
  return (
    <form
      ref={form}
      class="edit"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {fields.map(([name, value]) => (
        <div key={name}>
          <label for={`edit-${name}`}>{words(name)}</label>
          <Value id={`edit-${name}`} name={name} text={written(value)} />
        </div>
      ))}
      <p class="hint">The changed request is priced anew and waits under another id.</p>
      {problem === undefined ? null : <ProblemBox problem={problem} />}
      <button type="submit" class="primary">
        Send the change
      </button>
    </form>
  );
}

/** A field with room for the lines of its text: an input would make one of them. */
function Value({ text, ...control }: { id: string; name: string; text: string }): JSX.Element {
  const given = { ...control, defaultValue: text, spellcheck: false };
  const lines = newlines(text).split("\n").length;
  return lines === 1 ? <input {...given} /> : <textarea {...given} rows={Math.min(lines, 16)} />;
}

/** With the line breaks of a field, which knows no others. */
function newlines(text: string): string {
  return text.replaceAll(/\r\n?/g, "\n");
}

/** The fields whose text is another than that of their value. */
export function changesIn(
  fields: readonly (readonly [string, unknown])[],
  given: (name: string) => FormDataEntryValue | null,
): Record<string, unknown> {
  const changes: Record<string, unknown> = {};
  for (const [name, value] of fields) {
    const entry = given(name);
    if (typeof entry !== "string") continue;
    const text = newlines(entry);
    if (text !== newlines(written(value))) changes[name] = read(text, value);
  }
  return changes;
}
