/** Deploy Model to Agent, Promote Canary, Roll Back. */

import {
  ChefProblem,
  CHOICES,
  type DeployModelToAgent,
  type PromoteCanary,
  type ResultOf,
  type RollbackDeployment,
} from "@codechef/client";
import * as vscode from "vscode";

import type { Desk } from "../desk.js";
import { told } from "../problems.js";
import { plain } from "../text.js";
import { carryOut, LEFT, type Outcome } from "./carry_out.js";
import { pick, pickAgent, pickRunningRollout, pickVersion, valuesOf } from "./picks.js";

/** Puts a version in front of an agent's traffic. */
export async function deployAgentModel(
  desk: Desk,
  given: Partial<DeployModelToAgent> = {},
): Promise<Outcome<ResultOf<"deploy_model_to_agent">>> {
  const title = "Deploy Model to Agent";
  const agent = given.agent ?? (await pickAgent(desk, title));
  if (agent === undefined) return LEFT;
  const version =
    given.version === undefined && !given.model
      ? await pickVersion(desk, title, agent, "Which version?")
      : given.version;
  if (version === undefined && !given.model) return LEFT;
  const strategies = valuesOf(CHOICES.deploy_model_to_agent.strategy);
  const strategy =
    given.strategy ?? (await pick(title, "How?", strategies, "There is no strategy."));
  if (strategy === undefined) return LEFT;
  const request = { ...given, agent, version: version ?? null, strategy };
  const outcome = await deployed(desk, request);
  if (outcome.kind === "done") tellDeployed(desk, agent, outcome.result.rollout_id);
  return outcome;
}

/** Deploys; where the checklist stands against it, for a reason that the person gives. */
async function deployed(
  desk: Desk,
  request: DeployModelToAgent,
): Promise<Outcome<ResultOf<"deploy_model_to_agent">>> {
  const useCase = "deploy_model_to_agent";
  try {
    return await carryOut(desk, { useCase, request, verb: "Deploy" });
  } catch (error) {
    const stands = error instanceof ChefProblem && error.details?.checklist.length;
    if (!stands || request.override_reason) throw error;
    const reason = await reasonAgainst(error);
    if (reason === undefined) return LEFT;
    const overridden = { ...request, override_reason: reason };
    return carryOut(desk, { useCase, request: overridden, verb: "Deploy" });
  }
}

async function reasonAgainst(problem: ChefProblem): Promise<string | undefined> {
  const points = problem.details?.checklist ?? [];
  const detail = points.map(({ name, verdict, message }) => `${verdict}: ${name}: ${message}`);
  const all = [problem.remedy, ...detail].join("\n");
  const anyway = "Deploy All the Same…";
  const picked = await vscode.window.showWarningMessage(
    plain(problem.message),
    { modal: true, detail: all },
    anyway,
  );
  if (picked !== anyway) return undefined;
  const reason = await vscode.window.showInputBox({
    title: "Why deploy all the same?",
    prompt: told(problem),
    ignoreFocusOut: true,
    validateInput: (text) => (text.trim() ? undefined : "A reason is needed; it is kept."),
  });
  return reason?.trim();
}

/** Gives the candidate more traffic: the policy's next step, or a percentage that is given. */
export async function promoteCanary(
  desk: Desk,
  given: Partial<PromoteCanary> = {},
): Promise<Outcome<ResultOf<"promote_canary">>> {
  const agent = given.agent ?? (await pickRunningRollout(desk, "Promote Canary"));
  if (agent === undefined) return LEFT;
  const outcome = await carryOut(desk, {
    useCase: "promote_canary",
    request: { ...given, agent },
    verb: "Promote",
  });
  if (outcome.kind === "done") tellDeployed(desk, agent, outcome.result.rollout_id);
  return outcome;
}

/** Sends an agent's traffic back: to what served before, or to a version that is given. */
export async function rollBack(
  desk: Desk,
  given: Partial<RollbackDeployment> = {},
): Promise<Outcome<ResultOf<"rollback_deployment">>> {
  const agent = given.agent ?? (await pickAgent(desk, "Roll Back"));
  if (agent === undefined) return LEFT;
  const outcome = await carryOut(desk, {
    useCase: "rollback_deployment",
    request: { ...given, agent },
    verb: given.drill ? "Rehearse" : "Roll Back",
  });
  if (outcome.kind === "done") {
    const { model, version, seconds } = outcome.result;
    const to = [model, version].filter(Boolean).join(" ");
    void vscode.window.showInformationMessage(
      plain(`${agent} is served by ${to}, ${seconds.toFixed(1)} s later.`),
    );
  }
  return outcome;
}

function tellDeployed(desk: Desk, agent: string, rolloutId: string | null): void {
  const show = "Show";
  void vscode.window
    .showInformationMessage(`Traffic of ${plain(agent)} changes.`, show)
    .then((picked) => {
      if (picked === undefined) return;
      if (rolloutId === null) desk.views.open({ view: "overview", params: {} });
      else desk.views.open({ view: "rollout", params: { rollout_id: rolloutId } });
    });
}
