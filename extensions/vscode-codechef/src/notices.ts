/** Tells the person when the server goes away or knows them no more: once, then never again. */

import type { ChefProblem } from "@codechef/client";
import * as vscode from "vscode";

import { kindOf, show } from "./problems.js";
import type { Server, ServerState } from "./server.js";

/** A server that restarts is back before this; longer than that is worth a word. */
const RESTART_MS = 15_000;

/**
 * Follows how we stand to the server: sets the context key `codechef.state`, by which views choose
 * their welcome, and tells what needs a person.
 */
export function registerNotices(
  context: vscode.ExtensionContext,
  server: Server,
  patienceMs = RESTART_MS,
): void {
  let before: ServerState = server.state;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const follow = (state: ServerState): void => {
    clearTimeout(timer);
    void vscode.commands.executeCommand("setContext", "codechef.state", contextOf(state));
    if (state.kind === "reconnecting") {
      const problem = state.problem;
      if (problem) timer = setTimeout(() => void show(problem), patienceMs);
    } else if (state.kind === "failed" && isNews(before, state.problem)) {
      void show(state.problem);
    }
    before = state;
  };
  follow(server.state);
  context.subscriptions.push(server.onDidChangeState(follow), {
    dispose: () => clearTimeout(timer),
  });
}

/** How we stand, as the `when` clauses of package.json name it. */
export function contextOf(state: ServerState): string {
  return state.kind === "failed" ? kindOf(state.problem) : state.kind;
}

/** A server that was never there is no news: the views say how to get one. */
function isNews(before: ServerState, problem: ChefProblem): boolean {
  if (before.kind === "unasked") return kindOf(problem) === "foreign";
  return before.kind !== "failed" || kindOf(before.problem) !== kindOf(problem);
}
