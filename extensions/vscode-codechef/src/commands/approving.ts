/** Approvals: list them, answer them, carry out what was approved. */

import { answered } from "@codechef/client";
import * as vscode from "vscode";

import type { Desk } from "../desk.js";
import { plain } from "../text.js";
import { approved, LEFT, type Outcome } from "./carry_out.js";
import { pick } from "./picks.js";
import { watchJob } from "./watch.js";

/** Asks for an answer to an approval, and carries it out; without one, asks which. */
export async function approvals(
  desk: Desk,
  given: { approval_id?: string } = {},
): Promise<Outcome<unknown>> {
  const id = given.approval_id ?? (await pickApproval(desk));
  return id === undefined ? LEFT : told(desk, await approved<unknown>(desk, id));
}

/** Carries out what somebody approved. */
export async function carryOutApproved(
  desk: Desk,
  given: { approval_id: string },
): Promise<Outcome<unknown>> {
  const { result } = await desk.approvals.resume(given.approval_id);
  return told(desk, { kind: "done", result });
}

async function pickApproval(desk: Desk): Promise<string | undefined> {
  const { approvals: pending } = await answered(desk.server.api.GET("/approvals"));
  const choices = pending.map(({ id, summary, requester, may_answer: may }) => ({
    label: summary,
    description: `asked by ${requester}`,
    detail: may ? "You may answer it." : "Somebody else has to answer it.",
    value: id,
  }));
  return pick("Approvals", "What waits for an answer", choices, "Nothing waits for an approval.");
}

/** Follows the job that was begun; says that something else was done. */
async function told(desk: Desk, outcome: Outcome<unknown>): Promise<Outcome<unknown>> {
  if (outcome.kind !== "done") return outcome;
  const { result } = outcome;
  if (isJob(result)) await watchJob(desk, result.job_id);
  else void vscode.window.showInformationMessage(plain("Done: what was approved is carried out."));
  return outcome;
}

function isJob(result: unknown): result is { job_id: string } {
  return typeof result === "object" && result !== null && "job_id" in result;
}
