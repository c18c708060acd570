/** All versions of an agent, and the choice of two to compare. */

import type { AgentRecord, ModelVersion } from "@codechef/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { moment, number, signed, words } from "../../format.js";
import { Badge, Link, Name, State, Table } from "../../parts/index.js";

export function Versions({ record }: { record: AgentRecord }): JSX.Element {
  const history = [...record.history].reverse(); // the registry keeps them oldest first
  return (
    <>
      <Table
        caption="Versions, newest first"
        hideCaption
        rows={history}
        id={({ version }) => version}
        columns={[
          { title: "Version", cell: ({ version }) => <Name>{version}</Name> },
          { title: "Status", cell: (version) => <Status version={version} record={record} /> },
          {
            title: "Method",
            cell: ({ training_config }) => training_config?.training_method ?? "–",
          },
          {
            title: "Accuracy",
            numeric: true,
            cell: ({ eval_scores }) => number(eval_scores?.accuracy, 3),
          },
          { title: "Improvement", numeric: true, cell: improvementOf },
          {
            title: "Recommendation",
            cell: ({ eval_scores }) => words(eval_scores?.recommendation ?? "–"),
          },
          { title: "Parent", cell: ({ parent_version }) => <Name>{parent_version ?? "–"}</Name> },
          {
            title: "Trained",
            cell: ({ trained_at }) => moment(trained_at),
          },
        ]}
      />
      {history.length < 2 ? null : <Choice agent={record.agent_name} history={history} />}
    </>
  );
}

function Status({ version, record }: { version: ModelVersion; record: AgentRecord }): JSX.Element {
  const serves = version.version === record.current;
  return (
    <>
      <State of={version.deployment_status} /> {serves ? <Badge tone="good">serves</Badge> : null}
    </>
  );
}

function improvementOf({ eval_scores }: ModelVersion): string {
  const improvement = eval_scores?.baseline_improvement_pct ?? null;
  return improvement === null ? "–" : `${signed(improvement)} %`;
}

function Choice({ agent, history }: { agent: string; history: ModelVersion[] }): JSX.Element {
  const [a, setA] = useState(history[1]?.version ?? "");
  const [b, setB] = useState(history[0]?.version ?? "");
  const choice = (label: string, value: string, choose: (version: string) => void): JSX.Element => (
    <label>
      {label}{" "}
      <select value={value} onChange={({ currentTarget }) => choose(currentTarget.value)}>
        {history.map(({ version }) => (
          <option key={version} value={version}>
            {version}
          </option>
        ))}
      </select>
    </label>
  );
  return (
    <p class="actions">
      {choice("What changed from", a, setA)} {choice("to", b, setB)}{" "}
      <Link to={{ view: "versions", params: { agent, a, b } }}>Compare</Link>
    </p>
  );
}
