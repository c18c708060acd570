/** What a completed job found or made. */

import {
  answered,
  type ArmContrast,
  type ArmScores,
  type ExperimentResult,
  type JobReport,
  type TrialReport,
} from "@codechef/client";
import type { JSX } from "preact";

import { latency, money, number, significant } from "../../format.js";
import { Loaded, useLoaded } from "../../loaded.js";
import { Badge, JobLink, Link, Name, State, Table, Text, WebLink } from "../../parts/index.js";
import { JobTable } from "../jobs.js";
import { toneOfRecommendation } from "../compare/verdict.js";

const LOOK_MS = 5_000;

export function Findings({ report }: { report: JobReport }): JSX.Element {
  const { job_id, kind, evaluation, conversion, experiment, trials } = report;
  return (
    <>
      {evaluation === null ? null : (
        <p class="job-line">
          <Badge tone={toneOfRecommendation(evaluation.recommendation)}>
            {evaluation.recommendation.replaceAll("_", " ")}
          </Badge>{" "}
          <Link to={{ view: "compare", params: { job_id } }}>Compare the models</Link>
        </p>
      )}
      {conversion === null ? null : (
        <p class="job-line">
          <Link to={{ view: "gguf", params: { job_id } }}>
            {number(conversion.files.length)} GGUF files, and how to use them
          </Link>
        </p>
      )}
      {experiment === null ? null : <Experiment of={experiment} />}
      {trials.length === 0 ? null : <Trials trials={trials} />}
      {kind === "search" && trials.length === 0 ? <Begun report={report} /> : null}
    </>
  );
}

/** The trials of a search that has not ended: jobs of their own, named after it. */
function Begun({ report: { job_id, agent } }: { report: JobReport }): JSX.Element {
  const query = { agent, limit: 200 };
  const jobs = useLoaded(
    (api, signal) => answered(api.GET("/jobs", { params: { query }, signal })),
    job_id,
    { when: ({ action }) => action.startsWith("job_"), everyMs: LOOK_MS },
  );
  return (
    <Loaded of={jobs}>
      {({ jobs: all }) => (
        <section>
          <h2>Trials</h2>
          <JobTable rows={all.filter((one) => one.job_id.startsWith(`${job_id}-`))} />
        </section>
      )}
    </Loaded>
  );
}

function Trials({ trials }: { trials: TrialReport[] }): JSX.Element {
  return (
    <section>
      <h2>Trials</h2>
      <Table
        caption="Trials"
        hideCaption
        rows={trials}
        id={({ job_id }) => job_id}
        columns={[
          {
            title: "Job",
            cell: ({ job_id }) => <JobLink job_id={job_id} />,
          },
          { title: "Rung", numeric: true, cell: ({ rung }) => number(rung + 1) },
          { title: "Status", cell: ({ status }) => <State of={status} /> },
          { title: "Setting", cell: ({ setting }) => <Text>{settingOf(setting)}</Text> },
          { title: "Value", numeric: true, cell: ({ value }) => significant(value, 4) },
          { title: "Cost", numeric: true, cell: ({ cost_usd }) => money(cost_usd) },
        ]}
      />
    </section>
  );
}

function settingOf(setting: TrialReport["setting"]): string {
  return Object.entries(setting)
    .map(([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
}

function Experiment({ of }: { of: ExperimentResult }): JSX.Element {
  return (
    <section>
      <h2>
        Experiment <Name>{of.experiment}</Name>
      </h2>
      <p>
        {number(of.n_examples)} examples, each asked {number(of.repetitions)} times; compared with{" "}
        <Name>{of.baseline}</Name>.{" "}
        {of.experiment_url === null ? null : <WebLink url={of.experiment_url} />}
      </p>
      <Arms arms={of.arms} />
      <Contrasts contrasts={of.contrasts} />
    </section>
  );
}

function Arms({ arms }: { arms: ArmScores[] }): JSX.Element {
  const metrics = [...new Set(arms.flatMap(({ scores }) => Object.keys(scores)))];
  return (
    <Table
      caption="Arms"
      rows={arms}
      id={({ arm }) => arm}
      columns={[
        { title: "Arm", cell: ({ arm }) => <Name>{arm}</Name> },
        { title: "Model", cell: ({ model }) => <Name>{model}</Name> },
        ...metrics.map((metric) => ({
          title: metric,
          numeric: true,
          cell: ({ scores }: ArmScores) => number(scores[metric], 3),
        })),
        { title: "Failed", numeric: true, cell: ({ failed_calls }) => number(failed_calls) },
        {
          title: "Latency",
          numeric: true,
          cell: ({ avg_latency_s }) =>
            latency(avg_latency_s === null ? null : 1000 * avg_latency_s),
        },
        { title: "Cost", numeric: true, cell: ({ cost_usd }) => money(cost_usd) },
      ]}
    />
  );
}

function Contrasts({ contrasts }: { contrasts: ArmContrast[] }): JSX.Element {
  return (
    <Table
      caption="Differences from the baseline"
      rows={contrasts}
      id={({ arm, metric }) => `${arm} ${metric}`}
      columns={[
        { title: "Arm", cell: ({ arm }) => <Name>{arm}</Name> },
        { title: "Metric", cell: ({ metric }) => <Name>{metric}</Name> },
        { title: "Difference", numeric: true, cell: ({ difference }) => number(difference, 3) },
        {
          title: "95 % interval",
          numeric: true,
          cell: ({ interval }) =>
            interval === null ? "–" : `${number(interval[0], 3)} … ${number(interval[1], 3)}`,
        },
        {
          title: "p, corrected",
          numeric: true,
          cell: ({ p_adjusted }) => significant(p_adjusted, 2),
        },
        {
          title: "Supported",
          cell: ({ supported }) => (supported === null ? "–" : supported ? "yes" : "no"),
        },
        {
          title: "More examples",
          numeric: true,
          cell: ({ examples_needed }) => number(examples_needed),
        },
      ]}
    />
  );
}
