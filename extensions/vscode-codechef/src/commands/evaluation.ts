/** Evaluate Agent Model, List Agent Models, Convert to GGUF. */

import {
  CHOICES,
  type ConvertModelToGguf,
  type EvaluateModelVsBaseline,
  type ListAgentModels,
  type ResultOf,
  type VersionSummary,
} from "@codechef/client";
import * as vscode from "vscode";

import type { Desk } from "../desk.js";
import { carryOut, LEFT, type Outcome } from "./carry_out.js";
import { asChoice, pick, pickAgent, pickVersion, valuesOf, versionsOf } from "./picks.js";
import { watchJob } from "./watch.js";

/** Compares a candidate (of trees: a `version`) with a baseline; the comparison opens when it is there. */
export async function evaluateAgentModel(
  desk: Desk,
  { version, ...given }: Partial<EvaluateModelVsBaseline> & { version?: string } = {},
): Promise<Outcome<ResultOf<"evaluate_model_vs_baseline">>> {
  const title = "Evaluate Agent Model";
  const agent = given.agent ?? (await pickAgent(desk, title));
  if (agent === undefined) return LEFT;
  const named = given.candidate ?? version;
  const candidate =
    named ?? (await pickVersion(desk, title, agent, "Which version is the candidate?"));
  if (candidate === undefined) return LEFT;
  const serving = { label: "What serves now", value: null };
  const baseline =
    given.baseline === undefined
      ? await pickVersion(desk, title, agent, "Compared with what?", [serving])
      : given.baseline;
  if (baseline === undefined) return LEFT;
  const request = { ...given, agent, candidate, baseline };
  const useCase = "evaluate_model_vs_baseline";
  const outcome = await carryOut(desk, { useCase, request, verb: "Evaluate" });
  if (outcome.kind === "done") await watchJob(desk, outcome.result.job_id);
  return outcome;
}

/** Converts a version for llama.cpp, Ollama and LM Studio; how to use it opens when it is there. */
export async function convertToGguf(
  desk: Desk,
  given: Partial<ConvertModelToGguf> = {},
): Promise<Outcome<ResultOf<"convert_model_to_gguf">>> {
  const title = "Convert to GGUF";
  const agent = given.agent ?? (given.model ? null : await pickAgent(desk, title));
  if (agent === undefined) return LEFT;
  const version =
    given.version === undefined && agent !== null
      ? await pickVersion(desk, title, agent, "Which version?")
      : given.version;
  if (version === undefined && agent !== null) return LEFT;
  const forms = valuesOf(CHOICES.convert_model_to_gguf.quantization);
  const quantization =
    given.quantization ?? (await pick(title, "Which quantization?", forms, "There is none."));
  if (quantization === undefined) return LEFT;
  const request = { ...given, agent, version: version ?? null, quantization };
  const outcome = await carryOut(desk, {
    useCase: "convert_model_to_gguf",
    request,
    verb: "Convert",
  });
  if (outcome.kind === "done") await watchJob(desk, outcome.result.job_id);
  return outcome;
}

/** Lists an agent's versions; a version that is picked leads to what can be done with it. */
export async function listAgentModels(
  desk: Desk,
  given: Partial<ListAgentModels> = {},
): Promise<VersionSummary[] | undefined> {
  const title = "List Agent Models";
  const agent = given.agent ?? (await pickAgent(desk, title));
  if (agent === undefined) return undefined;
  const versions = await versionsOf(desk, agent);
  if (given.agent !== undefined) return versions;
  const none = `${agent} has no version yet: train one first.`;
  const version = await pick(title, "What to do with which?", versions.map(asChoice), none);
  if (version !== undefined) await offer(desk, agent, version);
  return versions;
}

/** Asks what to do with a version, and does it. */
async function offer(desk: Desk, agent: string, version: string): Promise<void> {
  const run =
    (command: string, argument: object): (() => Thenable<unknown>) =>
    () =>
      vscode.commands.executeCommand(`codechef.${command}`, { agent, ...argument });
  const choices = [
    { label: "Show", value: run("openView", { view: "registry", params: { agent } }) },
    { label: "Evaluate", value: run("evaluateAgentModel", { candidate: version }) },
    { label: "Deploy", value: run("deployAgentModel", { version }) },
    { label: "Convert to GGUF", value: run("convertToGguf", { version }) },
  ];
  const act = await pick(`${agent} ${version}`, "What to do?", choices, "Nothing can be done.");
  await act?.();
}
