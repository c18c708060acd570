/** Thumbs on an answer: a judgement on the model that gave it, which counts in its verdict. */

import { answered, ChefProblem } from "@codechef/client";
import * as vscode from "vscode";

import { show } from "../problems.js";
import type { Server } from "../server.js";
import type { Kept } from "./participant.js";

/** Sends a thumb to the server, about the model's call that ended the answer. */
export async function judge(
  server: Server,
  { result, kind }: vscode.ChatResultFeedback,
): Promise<void> {
  const { requestId } = (result.metadata ?? {}) as Partial<Kept>;
  if (requestId === undefined) {
    vscode.window.setStatusBarMessage(
      "No model gave that answer: there is nothing to judge.",
      5000,
    );
    return;
  }
  const thumbs = kind === vscode.ChatResultFeedbackKind.Helpful ? "up" : "down";
  try {
    await answered(server.api.POST("/feedback", { body: { request_id: requestId, thumbs } }));
  } catch (error) {
    if (!(error instanceof ChefProblem)) throw error;
    await show(error);
  }
}
