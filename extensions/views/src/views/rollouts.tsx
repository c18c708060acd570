/** All rollouts there were, newest first. */

import { answered, type RolloutState } from "@codechef/client";
import type { JSX } from "preact";

import { useHost } from "../context.js";
import { words } from "../format.js";
import { Loaded, useLoaded } from "../loaded.js";
import { ArmShare, Badge, Link, Name, Table, Text, Time, type Tone } from "../parts/index.js";

const TONES: Record<RolloutState["phase"], Tone> = {
  running: "info",
  guard: "info",
  promoted: "good",
  rolled_back: "bad",
};

export function Rollouts(): JSX.Element {
  const { params } = useHost();
  const query = params["agent"] === undefined ? {} : { agent: params["agent"] };
  const rollouts = useLoaded(
    (api, signal) => answered(api.GET("/rollouts", { params: { query }, signal })),
    JSON.stringify(query),
  );
  return (
    <Loaded of={rollouts}>
      {({ rollouts }) => (
        <Table
          caption={query.agent === undefined ? "Of all agents" : `Of ${query.agent}`}
          empty="There was none yet."
          rows={rollouts}
          id={({ id }) => id}
          columns={[
            {
              title: "Agent",
              cell: ({ id, agent }) => (
                <Link to={{ view: "rollout", params: { rollout_id: id } }}>
                  <Name>{agent}</Name>
                </Link>
              ),
            },
            { title: "Strategy", cell: ({ strategy }) => words(strategy) },
            { title: "Candidates", cell: (one) => <Candidates of={one} /> },
            {
              title: "Phase",
              cell: ({ phase }) => <Badge tone={TONES[phase]}>{words(phase)}</Badge>,
            },
            { title: "Began", cell: ({ started_at }) => <Time at={started_at} /> },
            { title: "Ended", cell: ({ ended_at }) => <Time at={ended_at} /> },
            { title: "Why", cell: ({ reason }) => <Text long={200}>{reason}</Text> },
          ]}
        />
      )}
    </Loaded>
  );
}

function Candidates({ of: { arms } }: { of: RolloutState }): JSX.Element {
  return (
    <>
      {arms.slice(1).map(({ name, version, model, weight, mirror }) => (
        <div key={name} class="pair">
          <Name>{version ?? model}</Name>{" "}
          <span class="soft">
            <ArmShare weight={weight} mirror={mirror} />
          </span>
        </div>
      ))}
    </>
  );
}
