/** Jobs, newest first; those that run with their progress. */

import type { JobReport, JobSummary } from "@codechef/client";

import { hasEnded, progressOf } from "../commands/watch.js";
import type { Desk } from "../desk.js";
import { node, type Node } from "./node.js";

const ICONS: Readonly<Record<JobSummary["status"], { icon: string; color?: string }>> = {
  pending: { icon: "clock" },
  running: { icon: "sync~spin" },
  completed: { icon: "pass", color: "testing.iconPassed" },
  failed: { icon: "error", color: "testing.iconFailed" },
  cancelled: { icon: "circle-slash" },
};

/** @param live The last reports of jobs that run. */
export function jobs(desk: Desk, live: ReadonlyMap<string, JobReport>): Node[] {
  const all = desk.picture.seen?.jobs ?? [];
  // A search's trials stand beneath it in its own page.
  return all.filter(({ kind }) => kind !== "trial").map((one) => job(one, live.get(one.job_id)));
}

function job(one: JobSummary, report: JobReport | undefined): Node {
  const { job_id: id, kind, agent, status, error } = one;
  const at = new Date(one.created_at * 1000).toLocaleString();
  const live = report && !hasEnded(one) ? progressOf(report) : status;
  return node({
    id: `job/${id}`,
    label: `${kind} of ${agent}`,
    description: live,
    tooltip: [id, `${status}, asked for by ${one.requester}, ${at}`, error?.message, error?.remedy]
      .filter(Boolean)
      .join("\n"),
    ...ICONS[status],
    context: contextOf(one),
    given: { job_id: id },
    opens: viewOf(one),
  });
}

function contextOf(one: JobSummary): string {
  if (!hasEnded(one)) return "job.running";
  const cutOff = one.kind === "training" && one.status !== "completed";
  return cutOff ? "job.resumable" : "job";
}

/** What was made is what one wants to see. */
function viewOf({ job_id, kind, status }: JobSummary): {
  view: string;
  params: Record<string, string>;
} {
  const params = { job_id };
  if (status !== "completed") return { view: "job", params };
  if (kind === "evaluation") return { view: "compare", params };
  return { view: kind === "conversion" ? "gguf" : "job", params };
}
