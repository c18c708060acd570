import type { ChecklistItem } from "@codechef/client";
import type { JSX } from "preact";

import { State, Table, Text } from "../../parts/index.js";

/** What was looked at before there was traffic. */
export function Checklist({ of }: { of: ChecklistItem[] }): JSX.Element | null {
  if (of.length === 0) return null;
  const count = new Map<string, number>();
  for (const { verdict } of of) count.set(verdict, (count.get(verdict) ?? 0) + 1);
  return (
    <section aria-labelledby="checklist">
      <h2 id="checklist">Before there was traffic</h2>
      <details>
        <summary>
          {[...count].map(([verdict, n]) => (
            <span key={verdict} class="pair">
              {n} <State of={verdict} />{" "}
            </span>
          ))}
        </summary>
        <Table
          caption="The checklist: each point, and what was found"
          hideCaption
          rows={of}
          id={({ name }) => name}
          columns={[
            { title: "Check", cell: ({ name }) => <Text>{name}</Text> },
            { title: "Verdict", cell: ({ verdict }) => <State of={verdict} /> },
            { title: "Finding", cell: ({ message }) => <Text long={300}>{message}</Text> },
          ]}
        />
      </details>
    </section>
  );
}
