/** An agent's versions: where they come from, how they did, and what served when. */

import "./registry.css";

import { type AgentRecord, answered, type Registry as Kept } from "@codechef/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useHost } from "../../context.js";
import { Loaded, useLoaded } from "../../loaded.js";
import { LineageGraph } from "./lineage_graph.js";
import { Timeline } from "./timeline.js";
import { Version } from "./version.js";
import { Versions } from "./versions_table.js";

export function Registry(): JSX.Element {
  const registry = useLoaded((api, signal) => answered(api.GET("/registry", { signal })), "", {
    everyMs: 10_000,
  });
  return <Loaded of={registry}>{(kept) => <OfAgent agents={kept.agents} />}</Loaded>;
}

function OfAgent({ agents }: { agents: Kept["agents"] }): JSX.Element {
  const { params, navigate } = useHost();
  const names = Object.keys(agents).sort();
  const agent = params["agent"] ?? names[0];
  const record = agent === undefined ? undefined : agents[agent];
  const choices = agent === undefined || names.includes(agent) ? names : [agent, ...names];
  if (agent === undefined) return <p class="empty">There are no versions yet.</p>;
  return (
    <>
      <p>
        <label>
          Agent{" "}
          <select
            value={agent}
            onChange={({ currentTarget }) =>
              navigate({ view: "registry", params: { agent: currentTarget.value } })
            }
          >
            {choices.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </p>
      {record === undefined ? <NoVersions /> : <Record record={record} />}
    </>
  );
}

function NoVersions(): JSX.Element {
  return <p class="empty">There are no versions of this agent yet.</p>;
}

function Record({ record }: { record: AgentRecord }): JSX.Element {
  const { history, served, current } = record;
  const [chosen, setChosen] = useState(current);
  const version = history.find((one) => one.version === chosen) ?? history.at(-1); // the newest
  if (version === undefined) return <NoVersions />;
  return (
    <>
      <section>
        <h2>Lineage</h2>
        <LineageGraph history={history} chosen={version.version} choose={setChosen} />
        <Version agent={record.agent_name} version={version} />
      </section>
      <section>
        <h2>Versions</h2>
        <Versions record={record} />
      </section>
      <section>
        <h2>What served when</h2>
        <Timeline served={served} />
      </section>
    </>
  );
}
