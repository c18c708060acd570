/** A candidate beside its baseline: what an evaluation found. */

import "./compare.css";

import type { JobReport } from "@codechef/client";
import type { JSX } from "preact";

import { useHost } from "../../context.js";
import { Loaded } from "../../loaded.js";
import { AgentLink, JobLink, Meter, State, Text } from "../../parts/index.js";
import { useJob } from "../job/index.js";
import { Deploy } from "./deploy.js";
import { Examples } from "./examples.js";
import { Metrics } from "./metrics.js";
import { Verdict } from "./verdict.js";

export function Compare(): JSX.Element {
  const { params } = useHost();
  const job = useJob(params["job_id"] ?? "");
  return (
    <Loaded of={job}>
      {(report) =>
        report.evaluation === null ? <NotYet report={report} /> : <Comparison report={report} />
      }
    </Loaded>
  );
}

function Comparison({ report }: { report: JobReport }): JSX.Element | null {
  const { job_id, agent, evaluation } = report;
  if (evaluation === null) return null;
  return (
    <>
      <Verdict found={evaluation} />
      <Deploy found={evaluation} version={evaluation.candidate} />
      <Metrics found={evaluation} />
      {evaluation.baseline === null ? null : <Examples jobId={job_id} />}
      <p class="soft">
        Agent <AgentLink agent={agent} /> · job <JobLink job_id={job_id} />
      </p>
    </>
  );
}

/** The evaluation runs, or has found nothing. */
function NotYet({ report }: { report: JobReport }): JSX.Element {
  const { job_id, status, message, progress_pct } = report;
  return (
    <>
      <p>
        <State of={status} /> <JobLink job_id={job_id} />
      </p>
      {progress_pct === null ? null : <Meter label="Progress" percent={progress_pct} />}
      <p>
        <Text>{message}</Text>
      </p>
      <p class="empty">There is nothing to compare yet.</p>
    </>
  );
}
