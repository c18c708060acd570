/** The system at a glance: what waits for whoever looks, who serves whom, what runs. */

import {
  type AgentServing,
  answered,
  type Api,
  type JobReport,
  type Overview as System,
  type ProcessState,
  type RolloutReport,
  type ShownApproval,
} from "@codechef/client";
import type { JSX } from "preact";

import { useMay } from "../context.js";
import { duration, money, percent, significant, words } from "../format.js";
import { Loaded, useLoaded } from "../loaded.js";
import {
  AgentLink,
  Badge,
  Beginning,
  Link,
  Meter,
  Name,
  Split,
  State,
  Swatch,
  Table,
  Text,
  Time,
} from "../parts/index.js";

/** How often to ask for what changes without anybody's doing: traffic, steps of a training. */
const MOVES_MS = 5_000;

type Report = Omit<RolloutReport, "guardrails">;

type Job = Pick<
  JobReport,
  | "job_id"
  | "kind"
  | "agent"
  | "progress_pct"
  | "current_step"
  | "total_steps"
  | "current_loss"
  | "eta_minutes"
>;

interface AtAGlance {
  system: System;
  /** Of the agents that have one running, by its id. */
  rollouts: Map<string, Report>;
  running: Job[];
  approvals: ShownApproval[];
}

async function look(api: Api, signal: AbortSignal): Promise<AtAGlance> {
  const [system, { jobs }, { approvals }] = await Promise.all([
    answered(api.GET("/overview", { signal })),
    answered(api.GET("/jobs", { params: { query: { status: "running" } }, signal })),
    answered(api.GET("/approvals", { signal })),
  ]);
  const running = await Promise.all(
    jobs.map(({ job_id }) =>
      answered(api.GET("/jobs/{job_id}", { params: { path: { job_id } }, signal })),
    ),
  );
  const ids = system.agents.flatMap(({ rollout_id }) => rollout_id ?? []);
  const reports = await Promise.all(
    ids.map((rollout_id) =>
      answered(api.GET("/rollouts/{rollout_id}", { params: { path: { rollout_id } }, signal })),
    ),
  );
  const rollouts = new Map(ids.flatMap((id, i) => (reports[i] ? [[id, reports[i]]] : [])));
  return { system, rollouts, running, approvals };
}

export function Overview(): JSX.Element {
  const seen = useLoaded(look, "", { everyMs: MOVES_MS });
  return (
    <Loaded of={seen}>
      {({ system, rollouts, running, approvals }) => (
        <>
          <Waiting approvals={approvals} />
          <Agents agents={system.agents} rollouts={rollouts} />
          <Rollouts rollouts={[...rollouts.values()]} />
          <Running jobs={running} />
          <Processes system={system} />
        </>
      )}
    </Loaded>
  );
}

function Waiting({ approvals }: { approvals: ShownApproval[] }): JSX.Element | null {
  const mine = approvals.filter(({ may_answer }) => may_answer);
  if (approvals.length === 0) return null;
  return (
    <section class="waiting" aria-labelledby="waiting">
      <h2 id="waiting">
        {mine.length > 0
          ? `Waiting for you: ${mine.length}`
          : `Waiting for somebody else: ${approvals.length}`}
      </h2>
      <ul class="plain">
        {(mine.length > 0 ? mine : approvals).map((one) => (
          <li key={one.id}>
            <Link to={{ view: "approval", params: { approval_id: one.id } }}>
              <Beginning>{one.summary}</Beginning>
            </Link>{" "}
            <span class="soft">
              {one.price_ceiling_usd > 0 ? `${money(one.price_ceiling_usd)} at most, ` : ""}asked by{" "}
              <bdi>{one.requester}</bdi>, expires <Time at={one.expires_at} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Agents({
  agents,
  rollouts,
}: {
  agents: AgentServing[];
  rollouts: Map<string, Report>;
}): JSX.Element {
  const may = useMay("change");
  const report = ({ rollout_id }: AgentServing): Report | undefined =>
    rollout_id === null ? undefined : rollouts.get(rollout_id);
  return (
    <section aria-labelledby="agents">
      <h2 id="agents">Who serves whom</h2>
      <Table
        caption="Agents, the models that serve them, and how their traffic is split"
        hideCaption
        rows={agents}
        id={({ agent }) => agent}
        columns={[
          {
            title: "Agent",
            cell: ({ agent }) => <AgentLink agent={agent} />,
          },
          { title: "Served by", cell: (one) => <Models of={one} /> },
          { title: "Split", cell: (one) => <AgentSplit of={one} report={report(one)} /> },
          { title: "Health", cell: (one) => <Health report={report(one)} /> },
          ...(may ? [{ title: "Begin", cell: (one: AgentServing) => <Begin of={one} /> }] : []),
        ]}
      />
    </section>
  );
}

/** What leads to a better model. */
function Begin({ of: { agent, newest } }: { of: AgentServing }): JSX.Element {
  return (
    <span class="begin">
      <Link to={{ view: "train", params: { agent } }}>
        Train<span class="unseen"> a model for {agent}</span>
      </Link>
      {newest === null ? null : (
        <Link to={{ view: "evaluate", params: { agent } }}>
          Evaluate<span class="unseen"> a model of {agent}</span>
        </Link>
      )}
    </span>
  );
}

/** Each arm's model and version, beside the colour that it has in the split. */
function Models({ of: { arms, model, version, newest } }: { of: AgentServing }): JSX.Element {
  const serves = newest === version || arms.some((arm) => arm.version === newest);
  return (
    <>
      {arms.length < 2 ? (
        <Model model={model} version={version} />
      ) : (
        <ul class="plain arms">
          {arms.map((arm, i) => (
            <li key={arm.name}>
              <Swatch of={i} />
              <Model model={arm.model} version={arm.version} />
            </li>
          ))}
        </ul>
      )}
      {newest === null || serves ? null : (
        <p class="soft newest">
          newest: <Name>{newest}</Name>, does not serve
        </p>
      )}
    </>
  );
}

function Model({ model, version }: { model: string; version: string | null }): JSX.Element {
  return (
    <>
      <Name>{model}</Name>
      {version === null ? null : <span class="soft"> {version}</span>}
    </>
  );
}

function AgentSplit({ of, report }: { of: AgentServing; report: Report | undefined }): JSX.Element {
  if (of.rollout_id === null) return <span class="soft">all to one</span>;
  const realised = new Map(report?.arms.map(({ arm, realised_pct }) => [arm, realised_pct]));
  return (
    <Split
      arms={of.arms.map(({ name, weight, mirror }) => ({
        name,
        asked: weight,
        realised: realised.get(name) ?? null,
        copies: mirror,
      }))}
    />
  );
}

function Health({ report }: { report: Report | undefined }): JSX.Element {
  if (report === undefined) return <span class="soft">–</span>;
  return (
    <>
      {report.arms.map(({ arm, health, condition }) => (
        <span key={arm} class="arm-health">
          <bdi>{arm}</bdi> <State of={condition} />
          {health === "closed" ? null : (
            <>
              {" "}
              breaker <State of={health} />
            </>
          )}
        </span>
      ))}
    </>
  );
}

function Rollouts({ rollouts }: { rollouts: Report[] }): JSX.Element {
  return (
    <section aria-labelledby="rollouts">
      <h2 id="rollouts">Rollouts</h2>
      {rollouts.length === 0 ? <p class="empty">None is running.</p> : null}
      {rollouts.map((one) => (
        <article key={one.rollout_id} class="card">
          <h3>
            <Link to={{ view: "rollout", params: { rollout_id: one.rollout_id ?? "" } }}>
              <Name>{one.agent}</Name>: {words(one.strategy ?? "")} at {percent(one.weight, 0)}
            </Link>{" "}
            {one.verdict === null ? null : <State of={one.verdict} />}
          </h3>
          <p>
            <Text long={300}>{one.verdict_reason}</Text> <Text long={300}>{one.outlook}</Text>
          </p>
        </article>
      ))}
    </section>
  );
}

function Running({ jobs }: { jobs: Job[] }): JSX.Element {
  return (
    <section aria-labelledby="running">
      <h2 id="running">Running jobs</h2>
      <Table
        caption="Jobs that run, and how far they are"
        hideCaption
        empty="None is running."
        rows={jobs}
        id={({ job_id }) => job_id}
        columns={[
          {
            title: "Job",
            cell: ({ job_id, kind, agent }) => (
              <Link to={{ view: "job", params: { job_id } }}>
                {kind} of <Name>{agent}</Name>
              </Link>
            ),
          },
          {
            title: "Progress",
            cell: ({ job_id, progress_pct }) =>
              progress_pct === null ? (
                <span class="soft">not told</span>
              ) : (
                <Meter label={`Progress of ${job_id}`} percent={progress_pct} />
              ),
          },
          {
            title: "Step",
            numeric: true,
            cell: ({ current_step, total_steps }) =>
              current_step === null ? "–" : `${current_step} of ${total_steps ?? "?"}`,
          },
          { title: "Loss", numeric: true, cell: ({ current_loss }) => significant(current_loss) },
          {
            title: "Left",
            numeric: true,
            cell: ({ eta_minutes }) => (eta_minutes === null ? "–" : duration(60 * eta_minutes)),
          },
        ]}
      />
    </section>
  );
}

function Processes({ system }: { system: System }): JSX.Element {
  return (
    <section aria-labelledby="processes">
      <h2 id="processes">Processes</h2>
      {system.unfinished_intents > 0 ? (
        <p>
          <Badge tone="warn">{`${system.unfinished_intents} deployments were cut off`}</Badge>
        </p>
      ) : null}
      <ul class="processes">
        {system.processes.map((one) => (
          <li key={`${one.name} ${one.address ?? ""}`}>
            <Process of={one} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Process({ of: { name, state, address, detail } }: { of: ProcessState }): JSX.Element {
  return (
    <>
      <span>{name}</span> <State of={state} />
      {address === null ? null : <span class="soft"> {address}</span>}
      {detail === "" ? null : (
        <p class="soft">
          <Text>{detail}</Text>
        </p>
      )}
    </>
  );
}
