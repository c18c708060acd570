/** What has been done before a journey begins: asked for and approved over the API. */

import {
  answered,
  ask,
  type ChangingUseCase,
  follow,
  type JobReport,
  type RequestOf,
} from "@codechef/client";

import type { Ground } from "./ground.js";

/** Has an administrator do something, and approve it where that is needed. */
export async function done<U extends ChangingUseCase>(
  ground: Ground,
  useCase: U,
  request: RequestOf<U>,
): Promise<unknown> {
  const api = ground.as("grace");
  const answer = await ask(api, useCase, request);
  if (answer.kind === "done") return answer.result;
  const at = { params: { path: { approval_id: answer.waits.approval_id } } };
  await answered(api.POST("/approvals/{approval_id}/answer", { ...at, body: { approve: true } }));
  return answered(api.POST("/approvals/{approval_id}/resume", at));
}

/** Waits until a job has ended. Throws where it has not completed. */
export async function completed(ground: Ground, jobId: string): Promise<JobReport> {
  const path = { job_id: jobId };
  for await (const { data } of follow(ground.as("victor"), "/jobs/{job_id}/events", { path })) {
    if (data.status === "pending" || data.status === "running") continue;
    if (data.status !== "completed") throw new Error(`${jobId}: ${JSON.stringify(data.error)}`);
    return data;
  }
  throw new Error(`${jobId} was not followed to its end.`);
}
