/** Train Agent Model. */

import {
  CHOICES,
  plan,
  type PlannedChange,
  priceTraining,
  type ResultOf,
  type TrainSubagentModel,
  type Tried,
} from "@codechef/client";
import * as vscode from "vscode";

import type { Desk } from "../desk.js";
import { told } from "../problems.js";
import { plain } from "../text.js";
import { dollars } from "../words.js";
import { carryOut, LEFT, type Outcome } from "./carry_out.js";
import { type Choice, pick, pickAgent, pickDataset, valuesOf } from "./picks.js";
import { watchJob } from "./watch.js";

const TITLE = "Train Agent Model";

const { method: METHODS } = CHOICES.train_subagent_model;

/** Trains a model for an agent; what is not given is asked for, with the price of each mode. */
export async function trainAgentModel(
  desk: Desk,
  given: Partial<TrainSubagentModel> = {},
): Promise<Outcome<ResultOf<"train_subagent_model">>> {
  const agent = given.agent ?? (await pickAgent(desk, TITLE));
  if (agent === undefined) return LEFT;
  const dataset =
    given.dataset === undefined ? await pickDataset(desk, TITLE, agent) : given.dataset;
  if (dataset === undefined) return LEFT;
  const asked = { ...given, agent, dataset };
  const priced = given.mode ? await price(desk, asked) : await pickMode(desk, asked);
  const ready = priced?.planned.objection ? await withReason(desk, priced) : priced;
  if (ready === undefined) return LEFT;
  const outcome = await carryOut(desk, {
    useCase: "train_subagent_model",
    verb: "Train",
    ...ready,
  });
  if (outcome.kind === "done") await watchJob(desk, outcome.result.job_id);
  return outcome;
}

/** A request, and what the server says that it would do. */
interface Priced {
  request: TrainSubagentModel;
  planned: PlannedChange;
}

async function price(desk: Desk, request: TrainSubagentModel): Promise<Priced> {
  return { request, planned: await plan(desk.server.api, "train_subagent_model", request) };
}

/** Asks for the mode, with what each would do and cost. */
async function pickMode(desk: Desk, asked: TrainSubagentModel): Promise<Priced | undefined> {
  const priced = await priceTraining(desk.server.api, asked);
  const problems = priced.flatMap(({ problem }) => problem ?? []);
  if (problems.length === priced.length && problems[0]) throw problems[0];
  const choices: Choice<(typeof priced)[number] | "change">[] = priced.map((one) => ({
    label: one.mode,
    ...shown(one),
    value: one,
  }));
  choices.push({ label: "Change Method or Size…", value: "change" });
  const picked = await pick(TITLE, "How thoroughly?", choices, "There is no mode.");
  if (picked === undefined) return undefined;
  if (picked === "change") {
    const changed = await change(asked);
    return changed && pickMode(desk, changed);
  }
  if (picked.problem) throw picked.problem;
  return { request: { ...asked, mode: picked.mode }, planned: picked.planned };
}

function shown({ planned, problem }: Tried): { description: string; detail: string } {
  if (problem) return { description: "not now", detail: told(problem) };
  const { estimated_cost_usd: usd, objection, summary } = planned;
  return { description: dollars(usd), detail: [summary, objection].filter(Boolean).join(" ") };
}

/** Asks for the method, and how many examples to train on. */
async function change(asked: TrainSubagentModel): Promise<TrainSubagentModel | undefined> {
  const method = await pick(TITLE, "By which method?", valuesOf(METHODS), "There is no method.");
  if (method === undefined) return undefined;
  const size = await vscode.window.showInputBox({
    title: TITLE,
    prompt: "Examples to train on; left empty, the number of the mode.",
    ignoreFocusOut: true,
    validateInput: (text) =>
      /^\s*([1-9]\d*)?\s*$/.test(text) ? undefined : "A whole number, or nothing.",
  });
  if (size === undefined) return undefined;
  return { ...asked, method, max_examples: size.trim() === "" ? null : Number(size) };
}

/** What the server has an objection to can be done for a reason that it keeps. */
async function withReason(desk: Desk, { request, planned }: Priced): Promise<Priced | undefined> {
  const reason = await vscode.window.showInputBox({
    title: TITLE,
    prompt: plain(`${planned.objection} To do it all the same, say why; the reason is kept.`),
    ignoreFocusOut: true,
    validateInput: (text) => (text.trim() ? undefined : "A reason is needed."),
  });
  if (reason === undefined) return undefined;
  return price(desk, { ...request, override_reason: reason.trim() });
}
