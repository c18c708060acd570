/** The commands of package.json: each takes what it needs as an object, and asks for what is not there. */

import { ask, ChefProblem, type SimulateCanary, VIEWS } from "@codechef/client";
import * as vscode from "vscode";

import type { Desk } from "../desk.js";
import { show } from "../problems.js";
import { approvals, carryOutApproved } from "./approving.js";
import { convertToGguf, evaluateAgentModel, listAgentModels } from "./evaluation.js";
import { cancelJob, monitorTrainingJob, resumeJob } from "./jobs.js";
import { deployAgentModel, promoteCanary, rollBack } from "./rollouts.js";
import { compareVersions, showComparison, showGgufUsage, showRollout } from "./showing.js";
import { trainAgentModel } from "./training.js";

/** A command: what it is given comes from trees, views, chat, tests or key bindings. */
type Command = (desk: Desk, given: never) => unknown;

const COMMANDS: Readonly<Record<string, Command>> = {
  approvals,
  cancelJob,
  compareVersions,
  carryOut: carryOutApproved,
  convertToGguf,
  deployAgentModel,
  evaluateAgentModel,
  listAgentModels,
  monitorTrainingJob,
  openDashboard: ({ views }) => views.open({ view: "overview", params: {} }),
  openInBrowser: ({ server }) => vscode.env.openExternal(vscode.Uri.parse(server.url)),
  openView,
  promoteCanary,
  refresh: ({ picture }) => picture.look(),
  resumeJob,
  rollBack,
  showComparison,
  showGgufUsage,
  showRollout,
  simulateCanary,
  trainAgentModel,
};

/** Registers the commands; what goes wrong is told with the button that mends it. */
export function registerCommands(context: vscode.ExtensionContext, desk: Desk): void {
  for (const [name, run] of Object.entries(COMMANDS)) {
    const guarded = async (given: unknown): Promise<unknown> => {
      try {
        // Trees hand over their element, which names what it shows in `given`.
        return await run(desk, argumentOf(given) as never);
      } catch (error) {
        if (!(error instanceof ChefProblem)) throw error;
        await show(error);
        return undefined;
      }
    };
    context.subscriptions.push(vscode.commands.registerCommand(`codechef.${name}`, guarded));
  }
}

function argumentOf(given: unknown): unknown {
  if (typeof given !== "object" || given === null) return undefined;
  return "given" in given ? given.given : given;
}

/** Simulates where rates are given; else opens the view in which they can be set. */
async function simulateCanary(
  desk: Desk,
  given: SimulateCanary & { agent?: string } = {},
): Promise<unknown> {
  const { agent, ...rates } = given;
  if (Object.keys(rates).length === 0) {
    desk.views.open({ view: "simulator", params: agent === undefined ? {} : { agent } });
    return undefined;
  }
  const answer = await ask(desk.server.api, "simulate_canary", rates);
  return answer.kind === "done" ? answer.result : undefined;
}

/** Opens a view by its name; for trees and links. */
function openView(
  { views }: Desk,
  given: { view?: string; params?: Record<string, string> } = {},
): void {
  const view = VIEWS.find((one) => one === given.view) ?? "overview";
  views.open({ view, params: given.params ?? {} });
}
