/** What did not work, in the chat: the message, the remedy, and a button where one helps. */

import { ChefProblem } from "@codechef/client";
import type * as vscode from "vscode";

import { mendsOf } from "../problems.js";
import { escaped } from "../markdown.js";

/** Shows what mends a problem; returns what the chat says of it. */
export function problemResult(
  stream: vscode.ChatResponseStream,
  problem: ChefProblem,
): Pick<vscode.ChatResult, "errorDetails"> {
  for (const mend of mendsOf(problem)) stream.button(mend);
  const message = [problem.message, problem.remedy].filter(Boolean).map(escaped).join(" ");
  return { errorDetails: { message } };
}
