import type { DrillReport, RolloutReport } from "@codechef/client";
import type { JSX } from "preact";

import { latency, number } from "../../format.js";
import { Change, Name, State, Table, Text, Time } from "../../parts/index.js";

/** Whether a rollback was rehearsed, and how long it took in every process that serves. */
export function Drill({ of, open }: { of: RolloutReport; open: boolean }): JSX.Element | null {
  const { agent, drilled } = of;
  if (drilled === null && !open) return null;
  return (
    <section aria-labelledby="drill">
      <h2 id="drill">Rollback drill</h2>
      {drilled === null ? <p class="empty">None was held yet.</p> : <Held of={drilled} />}
      <div class="actions">
        <Change
          label="Rehearse a rollback"
          offered={open}
          useCase="rollback_deployment"
          request={{ agent, drill: true }}
        />
      </div>
    </section>
  );
}

function Held({ of }: { of: DrillReport }): JSX.Element {
  return (
    <>
      <p>
        <State of={of.verdict} /> <Text>{of.message}</Text>
      </p>
      <p class="soft">
        <Time at={of.at} />, the split was away for {seconds(of.away_s)}
      </p>
      {of.processes.length === 0 ? null : (
        <Table
          caption="How fast each serving process followed"
          hideCaption
          rows={of.processes}
          id={({ process }) => process}
          columns={[
            { title: "Process", cell: ({ process }) => <Name>{process}</Name> },
            {
              title: "New table after",
              numeric: true,
              cell: ({ in_effect_s }) => seconds(in_effect_s),
            },
            {
              title: "Last old answer after",
              numeric: true,
              cell: ({ last_answer_s }) => seconds(last_answer_s),
            },
            { title: "Still under way", numeric: true, cell: ({ under_way }) => number(under_way) },
          ]}
        />
      )}
    </>
  );
}

function seconds(value: number | null): string {
  return latency(value === null ? null : 1000 * value);
}
