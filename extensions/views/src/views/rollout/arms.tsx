import type { RolloutReport } from "@codechef/client";
import type { JSX } from "preact";

import { latency, number, share } from "../../format.js";
import { ArmShare, Name, State, Swatch, Table, Text } from "../../parts/index.js";

type Arm = RolloutReport["arms"][number];

/** Who is in it, and how each one does. */
export function Arms({ of: { arms } }: { of: RolloutReport }): JSX.Element {
  return (
    <section aria-labelledby="arms">
      <h2 id="arms">Arms</h2>
      <Table
        caption="Requests, errors and latencies of each arm"
        hideCaption
        rows={arms}
        id={({ arm }) => arm}
        columns={[
          {
            title: "Arm",
            cell: (one) => (
              <span class="pair">
                <Swatch of={arms.indexOf(one)} />
                <Name>{one.arm}</Name>
              </span>
            ),
          },
          { title: "Version", cell: ({ version }) => <Name>{version ?? "–"}</Name> },
          { title: "Model", cell: ({ model }) => <Name>{model}</Name> },
          {
            title: "Share",
            numeric: true,
            cell: ({ asked_pct, mirror_pct }) => (
              <ArmShare weight={asked_pct} mirror={mirror_pct} />
            ),
          },
          { title: "Requests", numeric: true, cell: ({ requests }) => number(requests) },
          {
            title: "Errors",
            numeric: true,
            cell: ({ errors, requests }) => (
              <>
                {number(errors)}{" "}
                <span class="soft">{share(requests === 0 ? null : errors / requests, 2)}</span>
              </>
            ),
          },
          { title: "p50", numeric: true, cell: (one) => latency(one.latency_ms?.p50) },
          { title: "p95", numeric: true, cell: (one) => latency(one.latency_ms?.p95) },
          { title: "p99", numeric: true, cell: (one) => latency(one.latency_ms?.p99) },
          { title: "Health", cell: (one) => <Health of={one} /> },
        ]}
      />
    </section>
  );
}

function Health({ of: { condition, health, trip_reason } }: { of: Arm }): JSX.Element {
  return (
    <>
      <State of={condition} />{" "}
      {health === "closed" ? null : (
        <span class="pair">
          breaker <State of={health} />
        </span>
      )}
      {trip_reason === "" ? null : (
        <p class="soft">
          <Text>{trip_reason}</Text>
        </p>
      )}
    </>
  );
}
