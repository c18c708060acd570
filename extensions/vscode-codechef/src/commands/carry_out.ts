/** From a request to its result: tried dry, confirmed by the person, approved where it must be. */

import {
  ask,
  type ChangingUseCase,
  plan,
  type PlannedChange,
  type RequestOf,
  type ResultOf,
} from "@codechef/client";
import * as vscode from "vscode";

import { listed } from "../approvals.js";
import { goOnInChat } from "../chat/going_on.js";
import type { Desk } from "../desk.js";
import { plain } from "../text.js";
import { dollars } from "../words.js";

/** What became of a command. */
export type Outcome<T> =
  | { kind: "done"; result: T }
  /** Somebody else has to approve; it is carried out when they have. */
  | { kind: "waiting"; approvalId: string }
  /** The person went away from it, it was rejected, or it goes on in the chat. */
  | { kind: "left" };

export const LEFT = { kind: "left" } as const;

export interface Wanted<U extends ChangingUseCase> {
  useCase: U;
  request: RequestOf<U>;
  /** What the button of the confirmation says, e.g. `Train`. */
  verb: string;
  /** Of the same request, when it was made already. */
  planned?: PlannedChange;
}

/** Confirms, asks for approval where one is needed, carries out. Throws a ChefProblem. */
export async function carryOut<U extends ChangingUseCase>(
  desk: Desk,
  { useCase, request, verb, planned }: Wanted<U>,
): Promise<Outcome<ResultOf<U>>> {
  const { api } = desk.server;
  const change = planned ?? (await plan(api, useCase, request));
  if (!(await confirmed(change, verb))) return LEFT;
  const answer = await ask(api, useCase, request);
  if (answer.kind === "done") return answer;
  return approved<ResultOf<U>>(desk, answer.waits.approval_id);
}

/**
 * Has an approval answered by this person, if they may, and carries it out.
 *
 * An agent's call is carried out, or the agent told why not, by the conversation that waits for it.
 */
export async function approved<T>(desk: Desk, approvalId: string): Promise<Outcome<T>> {
  const { status, tool_call: call } = await desk.approvals.decide(approvalId);
  if (call !== null && status !== "pending") {
    await goOnInChat(approvalId);
    return LEFT;
  }
  if (status === "approved") {
    const { result } = await desk.approvals.resume(approvalId);
    return { kind: "done", result: result as T };
  }
  if (status !== "pending") return LEFT;
  await desk.approvals.remember(approvalId);
  return { kind: "waiting", approvalId };
}

async function confirmed(change: PlannedChange, verb: string): Promise<boolean> {
  const facts = [
    change.estimated_cost_usd > 0 ? `Estimated cost: ${dollars(change.estimated_cost_usd)}` : "",
    change.afterwards ?? "",
    change.approval_needed ? "A person has to approve it before anything happens." : "",
    change.objection ?? "",
  ];
  const detail = [facts.filter(Boolean).join("\n"), listed(change.details)];
  const picked = await vscode.window.showInformationMessage(
    plain(change.summary),
    { modal: true, detail: detail.filter(Boolean).join("\n\n") },
    verb,
  );
  return picked === verb;
}
