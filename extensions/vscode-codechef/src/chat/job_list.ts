/** `/jobs`: what is running and what has ended, newest first. */

import { answered, type Api } from "@codechef/client";
import type * as vscode from "vscode";

import { brief } from "../markdown.js";

const MOST = 10;

export async function listJobs(
  api: Api,
  stream: vscode.ChatResponseStream,
  signal: AbortSignal,
): Promise<void> {
  const query = { limit: MOST };
  const { jobs } = await answered(api.GET("/jobs", { params: { query }, signal }));
  if (jobs.length === 0) {
    stream.markdown("There are no jobs.");
    return;
  }
  const rows = jobs.map((job) =>
    [job.job_id, job.kind, job.agent, job.status, job.requester]
      .map((cell) => brief(cell))
      .join(" | "),
  );
  stream.markdown(
    ["| Job | Kind | Agent | Status | Asked for by |", "|---|---|---|---|---|", ...rows].join("\n"),
  );
}
