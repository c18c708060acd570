/** One job: how it stands, what it found, what it said. */

import "./job.css";

import type { JobReport } from "@codechef/client";
import type { JSX } from "preact";

import { useHost, useMay } from "../../context.js";
import { Loaded, type Resource, useFollowed } from "../../loaded.js";
import { AgentLink, Change, Link, Meter, Name, State, Text } from "../../parts/index.js";
import { Facts } from "./facts.js";
import { Findings } from "./findings.js";
import { Log } from "./log.js";
import { Losses } from "./losses.js";

const ENDED = ["completed", "failed", "cancelled"];

/** Whether a job has come to its end. */
export function ended({ status }: JobReport): boolean {
  return ENDED.includes(status);
}

/** A job, followed until it has ended. */
export function useJob(jobId: string): Resource<JobReport> {
  return useFollowed("/jobs/{job_id}/events", { job_id: jobId }, ended);
}

export function Job(): JSX.Element {
  const { params } = useHost();
  const job = useJob(params["job_id"] ?? "");
  return (
    <Loaded of={job}>
      {(report) => (
        <>
          <Standing report={report} />
          <Actions report={report} again={job.reload} />
          <Trouble report={report} />
          <Facts report={report} />
          <Losses report={report} />
          <Findings report={report} />
          <Log key={report.job_id} jobId={report.job_id} over={ended(report)} />
        </>
      )}
    </Loaded>
  );
}

function Standing({ report }: { report: JobReport }): JSX.Element {
  const { job_id, kind, agent, status, message, progress_pct } = report;
  return (
    <section aria-label="How it stands">
      <p class="job-line">
        <span role="status">
          <State of={status} />
        </span>{" "}
        <Name>{job_id}</Name> · {kind} for <AgentLink agent={agent} />
      </p>
      {progress_pct === null ? null : <Meter label="Progress" percent={progress_pct} />}
      {message === "" || message === status ? null : (
        <p>
          <Text>{message}</Text>
        </p>
      )}
    </section>
  );
}

function Actions({ report, again }: { report: JobReport; again: () => void }): JSX.Element {
  const { job_id, kind, agent, status, version } = report;
  const isNew = kind === "training" && status === "completed" && version !== null;
  const mayEvaluate = useMay("change");
  const resumable = kind === "training" && (status === "failed" || status === "cancelled");
  return (
    <div class="actions">
      {isNew && mayEvaluate ? (
        <Link to={{ view: "evaluate", params: { agent, candidate: version } }}>
          Evaluate <Name>{version}</Name>
        </Link>
      ) : null}
      <Change
        label="Cancel the job"
        danger
        offered={!ended(report)}
        onDone={again}
        useCase="cancel_training_job"
        request={{ job_id }}
      />
      <Change
        label="Resume the job"
        offered={resumable}
        onDone={again}
        useCase="resume_training_job"
        request={{ job_id }}
      />
    </div>
  );
}

function Trouble({ report: { error, notes } }: { report: JobReport }): JSX.Element {
  return (
    <>
      {error === null ? null : (
        <section class="problem" aria-label="Why it failed">
          <p class="problem-message">
            <Text>{error.message}</Text>
          </p>
          <p class="problem-remedy">
            <Text>{error.remedy}</Text>
          </p>
          <p class="soft">{error.kind}</p>
        </section>
      )}
      {notes.length === 0 ? null : (
        <ul aria-label="Notes">
          {notes.map((note, i) => (
            <li key={i}>
              <Text>{note}</Text>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
