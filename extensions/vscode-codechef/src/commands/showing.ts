/** Commands that open a view, after asking of what. */

import { answered, type JobSummary } from "@codechef/client";

import type { Desk } from "../desk.js";
import { pick, pickAgent, pickJob, pickVersion } from "./picks.js";

/** Opens the comparison that an evaluation made. */
export async function showComparison(desk: Desk, given: { job_id?: string } = {}): Promise<void> {
  const wanted = completed("evaluation");
  const none = "No evaluation is completed yet.";
  const jobId = given.job_id ?? (await pickJob(desk, "Show Comparison of Models", wanted, none));
  if (jobId !== undefined) desk.views.open({ view: "compare", params: { job_id: jobId } });
}

/** Opens how to use a file that a conversion made. */
export async function showGgufUsage(desk: Desk, given: { job_id?: string } = {}): Promise<void> {
  const wanted = completed("conversion");
  const none = "No conversion is completed yet.";
  const jobId = given.job_id ?? (await pickJob(desk, "Show How to Use a GGUF File", wanted, none));
  if (jobId !== undefined) desk.views.open({ view: "gguf", params: { job_id: jobId } });
}

/** Opens a rollout. */
export async function showRollout(desk: Desk, given: { rollout_id?: string } = {}): Promise<void> {
  const id = given.rollout_id ?? (await pickRollout(desk));
  if (id !== undefined) desk.views.open({ view: "rollout", params: { rollout_id: id } });
}

/** Opens what changed from one version of an agent to another. */
export async function compareVersions(
  desk: Desk,
  given: { agent?: string; version?: string; other?: string } = {},
): Promise<void> {
  const title = "Compare Versions";
  const agent = given.agent ?? (await pickAgent(desk, title));
  if (agent === undefined) return;
  const a = given.version ?? (await pickVersion(desk, title, agent, "Which version?"));
  if (a === undefined || a === null) return;
  const b = given.other ?? (await pickVersion(desk, title, agent, `${a} beside which other?`));
  if (b === undefined || b === null) return;
  desk.views.open({ view: "versions", params: { agent, a, b } });
}

function completed(kind: JobSummary["kind"]): (job: JobSummary) => boolean {
  return (job) => job.kind === kind && job.status === "completed";
}

async function pickRollout(desk: Desk): Promise<string | undefined> {
  const { rollouts } = await answered(desk.server.api.GET("/rollouts"));
  const choices = rollouts.map(({ id, agent, strategy, phase, started_at: at }) => ({
    label: `${agent}: ${strategy}`,
    description: phase,
    detail: `${id} · ${new Date(at * 1000).toLocaleString()}`,
    value: id,
  }));
  return pick("Show Rollout", "Which rollout?", choices, "No rollout was begun yet.");
}
