/** Monitor Training Job, and what can be done about a job. */

import type { CancelTrainingJob, JobReport, ResultOf, ResumeTrainingJob } from "@codechef/client";

import type { Desk } from "../desk.js";
import { carryOut, LEFT, type Outcome } from "./carry_out.js";
import { pickJob } from "./picks.js";
import { hasEnded, watchJob } from "./watch.js";

/** Shows how a job goes: while it runs as a notification, afterwards as its page. */
export async function monitorTrainingJob(
  desk: Desk,
  given: { job_id?: string } = {},
): Promise<JobReport | undefined> {
  const none = "There is no job yet.";
  const jobId = given.job_id ?? (await pickJob(desk, "Monitor Training Job", () => true, none));
  if (jobId === undefined) return undefined;
  desk.views.open({ view: "job", params: { job_id: jobId } });
  return watchJob(desk, jobId);
}

export async function cancelJob(
  desk: Desk,
  given: Partial<CancelTrainingJob> = {},
): Promise<Outcome<ResultOf<"cancel_training_job">>> {
  const jobId =
    given.job_id ?? (await pickJob(desk, "Cancel Job", (job) => !hasEnded(job), "No job runs."));
  if (jobId === undefined) return LEFT;
  const request = { job_id: jobId };
  return carryOut(desk, { useCase: "cancel_training_job", request, verb: "Cancel the Job" });
}

export async function resumeJob(
  desk: Desk,
  given: Partial<ResumeTrainingJob> = {},
): Promise<Outcome<ResultOf<"resume_training_job">>> {
  const stopped = ({ kind, status }: { kind: string; status: string }): boolean =>
    kind === "training" && (status === "failed" || status === "cancelled");
  const jobId =
    given.job_id ?? (await pickJob(desk, "Resume Training", stopped, "No training was cut off."));
  if (jobId === undefined) return LEFT;
  const request = { job_id: jobId };
  const outcome = await carryOut(desk, { useCase: "resume_training_job", request, verb: "Resume" });
  if (outcome.kind === "done") await watchJob(desk, outcome.result.job_id);
  return outcome;
}
