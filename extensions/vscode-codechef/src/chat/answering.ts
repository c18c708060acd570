/**
 * `codechef.answerApproval`: a person answers what a conversation waits for, as whoever is signed
 * in; then the conversation goes on in the chat. `codechef.goOn`: it was answered elsewhere.
 *
 * The answer is asked for in a dialog of the editor: a command may be run by anything, a language
 * model's tools among them, and none of that is a person.
 */

import { ChefProblem } from "@codechef/client";
import * as vscode from "vscode";

import type { Approvals } from "../approvals.js";
import { show } from "../problems.js";
import { goOnInChat } from "./going_on.js";

interface Given {
  approval_id: string;
}

/** Registers the commands of the chat's buttons. */
export function registerAnswering(context: vscode.ExtensionContext, approvals: Approvals): void {
  const answer = async ({ approval_id: id }: Given): Promise<void> => {
    try {
      const { status } = await approvals.decide(id, true);
      if (status === "pending") return;
    } catch (error) {
      if (!(error instanceof ChefProblem)) throw error;
      await show(error);
      return;
    }
    await goOnInChat(id);
  };
  // Trees hand over their element, which names what it shows in `given`.
  const goOn = (of: Given | { given: Given }): Promise<void> =>
    goOnInChat("given" in of ? of.given.approval_id : of.approval_id);
  context.subscriptions.push(
    vscode.commands.registerCommand("codechef.answerApproval", answer),
    vscode.commands.registerCommand("codechef.goOn", goOn),
  );
}
