/** What changed from one version of an agent to another: how they were trained, and how they did. */

import { answered, type FieldChange, type ScoreChange, type VersionDiff } from "@codechef/client";
import type { JSX } from "preact";

import { useHost } from "../context.js";
import { signedSignificant, significant, words } from "../format.js";
import { Loaded, useLoaded } from "../loaded.js";
import { AgentLink, Name, Table, Text } from "../parts/index.js";
import { Version } from "./registry/version.js";

export function Versions(): JSX.Element {
  const { params } = useHost();
  const [agent = "", a = "", b = ""] = [params["agent"], params["a"], params["b"]];
  const diff = useLoaded(
    (api, signal) =>
      answered(
        api.GET("/registry/{agent}/compare", {
          params: { path: { agent }, query: { a, b } },
          signal,
        }),
      ),
    JSON.stringify([agent, a, b]),
  );
  return <Loaded of={diff}>{(found) => <Difference found={found} />}</Loaded>;
}

function Difference({ found }: { found: VersionDiff }): JSX.Element {
  const { agent, a, b, config, scores } = found;
  const [from, to] = [a.version, b.version];
  return (
    <>
      <p>
        <AgentLink agent={agent} />: from <Name>{from}</Name> to <Name>{to}</Name>
      </p>
      <section>
        <h2>How they did</h2>
        <Table
          caption="Scores"
          hideCaption
          rows={scores}
          id={({ name }) => name}
          empty="Neither was evaluated."
          columns={[
            { title: "Score", cell: ({ name }) => <bdi>{words(name)}</bdi> },
            { title: from, numeric: true, cell: ({ a: before }) => significant(before) },
            { title: to, numeric: true, cell: ({ b: after }) => significant(after) },
            { title: "Change", numeric: true, cell: changeOf },
          ]}
        />
      </section>
      <section>
        <h2>How they were trained</h2>
        <Table
          caption="Settings that differ"
          hideCaption
          rows={config}
          id={({ name }) => name}
          empty="Their settings are the same."
          columns={[
            { title: "Setting", cell: ({ name }) => <bdi>{words(name)}</bdi> },
            { title: from, cell: ({ a: before }) => <Value of={before} /> },
            { title: to, cell: ({ b: after }) => <Value of={after} /> },
          ]}
        />
      </section>
      <div class="sides">
        <Version agent={agent} version={a} />
        <Version agent={agent} version={b} />
      </div>
    </>
  );
}

function changeOf({ a, b }: ScoreChange): string {
  return a === null || b === null ? "–" : signedSignificant(b - a);
}

function Value({ of }: { of: FieldChange["a"] }): JSX.Element {
  if (of === null || of === undefined) return <>–</>;
  if (typeof of === "number") return <>{significant(of)}</>;
  return <Text>{typeof of === "string" ? of : JSON.stringify(of)}</Text>;
}
