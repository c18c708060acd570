/** A job's progress as a notification that can be cancelled. */

import { answered, follow, type JobReport } from "@codechef/client";
import * as vscode from "vscode";

import type { Desk } from "../desk.js";
import { plain } from "../text.js";
import { figure, minutes, percent } from "../words.js";

/**
 * Shows how a job goes until it has ended or the person stops watching.
 *
 * Returns its last report; undefined where it goes on unwatched. Throws a ChefProblem.
 */
export async function watchJob(desk: Desk, jobId: string): Promise<JobReport | undefined> {
  const at = { params: { path: { job_id: jobId } } };
  const { kind, agent } = await answered(desk.server.api.GET("/jobs/{job_id}", at));
  for (;;) {
    const last = await shown(desk, jobId, plain(`code/chef: ${kind} of ${agent}`));
    if (last && hasEnded(last)) {
      await tellEnd(desk, last);
      return last;
    }
    const next = await whatNow(jobId);
    if (next === "stop") return undefined;
    if (next === "cancel")
      await vscode.commands.executeCommand("codechef.cancelJob", { job_id: jobId });
  }
}

export function hasEnded({ status }: { status: string }): boolean {
  return status !== "pending" && status !== "running";
}

/** How a job stands, in one line: loss, how far, how long still. */
export function progressOf(report: JobReport): string {
  const said = [
    report.progress_pct === null ? report.status : percent(report.progress_pct),
    report.current_loss === null ? "" : `loss ${figure(report.current_loss)}`,
    report.eta_minutes === null ? "" : `${minutes(report.eta_minutes)} left`,
    report.message,
  ];
  return plain([...new Set(said)].filter(Boolean).join(" · "));
}

/** Follows a job in a notification; returns the last report when it ends or is cancelled. */
async function shown(desk: Desk, jobId: string, title: string): Promise<JobReport | undefined> {
  const options = {
    location: vscode.ProgressLocation.Notification,
    title,
    cancellable: true,
  };
  return vscode.window.withProgress(options, async (progress, token) => {
    const stopping = new AbortController();
    token.onCancellationRequested(() => stopping.abort());
    let last: JobReport | undefined;
    let reached = 0;
    const reports = follow(desk.server.api, "/jobs/{job_id}/events", {
      path: { job_id: jobId },
      signal: stopping.signal,
      onState: (state) => {
        if (state === "reconnecting") progress.report({ message: "waits for the server …" });
      },
    });
    for await (const { data } of reports) {
      last = data;
      const pct = data.progress_pct ?? reached;
      const message = [progressOf(data), link(data)].filter(Boolean).join(" · ");
      progress.report({ message, increment: pct - reached });
      reached = pct;
      if (hasEnded(data)) break;
    }
    return last;
  });
}

/** A link to the training's plots: TensorBoard's or Trackio's, wherever the server says they are. */
function link({ tensorboard_url: url }: JobReport): string {
  if (url === null || !URL.canParse(url)) return "";
  const { protocol, href } = new URL(url);
  // What ends a link's address early could be followed by another link, to a command.
  const safe = href.replace(/[()]/g, (bracket) => (bracket === "(" ? "%28" : "%29"));
  return protocol === "http:" || protocol === "https:" ? `[Plots](${safe})` : "";
}

async function whatNow(jobId: string): Promise<"cancel" | "stop" | "on"> {
  const [cancel, stop] = ["Cancel the Job", "Only Stop Watching"];
  const picked = await vscode.window.showWarningMessage(
    `${jobId} runs on. Cancel it, or only stop watching?`,
    {
      modal: true,
      detail: "A job that nobody watches goes on; Monitor Training Job shows it again.",
    },
    cancel,
    stop,
  );
  if (picked === cancel) return "cancel";
  return picked === stop ? "stop" : "on";
}

/** Says how a job ended, with the door to what it made. */
async function tellEnd(desk: Desk, report: JobReport): Promise<void> {
  const { title, open } = doorOf(report);
  if (report.status === "completed") {
    const picked = await vscode.window.showInformationMessage(ending(report), title);
    if (picked) await open(desk);
  } else {
    const picked = await vscode.window.showErrorMessage(ending(report), "Show Job");
    if (picked) desk.views.open({ view: "job", params: { job_id: report.job_id } });
  }
}

function ending(report: JobReport): string {
  // The last stage of a job that went well is called as its status is.
  const stage = report.message === report.status ? "" : report.message;
  const why = report.error ? `${report.error.message} ${report.error.remedy}` : stage;
  const made = report.version === null ? "" : `${report.agent} ${report.version}`;
  const found = report.evaluation?.reasons.join(" ") ?? "";
  const said = [`${report.job_id} ${report.status}`, made, why, found].map((one) => one.trim());
  return plain(said.filter(Boolean).join(": "));
}

interface Door {
  title: string;
  open: (desk: Desk) => unknown;
}

function doorOf({ kind, agent, version, job_id }: JobReport): Door {
  const params = { job_id };
  if (kind === "evaluation") {
    return { title: "Compare", open: ({ views }) => views.open({ view: "compare", params }) };
  }
  if (kind === "conversion") {
    return { title: "How to Use It", open: ({ views }) => views.open({ view: "gguf", params }) };
  }
  if (version !== null) {
    const given = { agent, candidate: version };
    const evaluate = (): unknown =>
      vscode.commands.executeCommand("codechef.evaluateAgentModel", given);
    return { title: "Evaluate", open: evaluate };
  }
  return { title: "Show Job", open: ({ views }) => views.open({ view: "job", params }) };
}
