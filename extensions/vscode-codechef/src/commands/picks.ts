/** Choices, made from what the server lists. Each returns undefined when the person leaves. */

import {
  answered,
  ask,
  ChefProblem,
  type JobSummary,
  type ListedDataset,
  type VersionSummary,
} from "@codechef/client";
import * as vscode from "vscode";

import type { Desk } from "../desk.js";
import { plain } from "../text.js";
import { figure } from "../words.js";

export interface Choice<T> extends vscode.QuickPickItem {
  value: T;
}

/** Asks for one of several; says what is missing where there is none. */
export async function pick<T>(
  title: string,
  placeHolder: string,
  choices: Promise<Choice<T>[]> | Choice<T>[],
  none: string,
): Promise<T | undefined> {
  const found = await choices;
  if (found.length === 0) throw nothing(none);
  const shown = found.map((one) => ({
    ...one,
    label: plain(one.label),
    description: plain(one.description ?? ""),
    detail: plain(one.detail ?? ""),
  }));
  const options = { title, placeHolder, matchOnDescription: true, ignoreFocusOut: true };
  return (await vscode.window.showQuickPick(shown, options))?.value;
}

/** Values that a field of a request may have, as choices. */
export function valuesOf<T extends string>(
  field: readonly { value: T; description: string }[],
): Choice<T>[] {
  return field.map(({ value, description }) => ({ label: value, detail: description, value }));
}

/** An agent, with what serves it. */
export async function pickAgent(desk: Desk, title: string): Promise<string | undefined> {
  const { agents } = await answered(desk.server.api.GET("/overview"));
  const choices = agents.map(({ agent, model, version, phase }) => ({
    label: agent,
    description: [model, version].filter(Boolean).join(" "),
    detail: phase === null ? "" : `rollout: ${phase}`,
    value: agent,
  }));
  return pick(title, "Which agent?", choices, "The server has no agent.");
}

/** An agent whose rollout is under way. */
export async function pickRunningRollout(desk: Desk, title: string): Promise<string | undefined> {
  const { agents } = await answered(desk.server.api.GET("/overview"));
  const choices = agents
    .filter(({ rollout_id, phase }) => rollout_id !== null && phase !== null)
    .map(({ agent, arms, phase }) => ({
      label: agent,
      description: phase ?? "",
      detail: arms.map(({ name, model, weight }) => `${name} ${model} ${weight} %`).join(" · "),
      value: agent,
    }));
  return pick(title, "Which agent's rollout?", choices, "No rollout runs.");
}

/** A version of an agent, newest first; `extra` choices stand before them. */
export async function pickVersion(
  desk: Desk,
  title: string,
  agent: string,
  placeHolder: string,
  extra: Choice<string | null>[] = [],
): Promise<string | null | undefined> {
  const choices = [...extra, ...(await versionsOf(desk, agent)).map(asChoice)];
  return pick(title, placeHolder, choices, `${agent} has no version yet: train one first.`);
}

export async function versionsOf(desk: Desk, agent: string): Promise<VersionSummary[]> {
  const answer = await ask(desk.server.api, "list_agent_models", { agent });
  return answer.kind === "done" ? answer.result.versions : [];
}

export function asChoice(version: VersionSummary): Choice<string> {
  const { accuracy, improvement_pct: change, recommendation, method, dataset } = version;
  const measured = [
    accuracy === null ? "not evaluated" : `accuracy ${figure(accuracy)}`,
    change === null ? "" : `${change > 0 ? "+" : ""}${figure(change)} % on its baseline`,
    recommendation ?? "",
  ];
  return {
    label: version.version,
    description: [version.status, version.model_id].join(" · "),
    detail: [...measured, method ?? "", dataset ?? ""].filter(Boolean).join(" · "),
    value: version.version,
  };
}

/** A data set of an agent, newest first. */
export async function pickDataset(
  desk: Desk,
  title: string,
  agent: string,
): Promise<string | undefined> {
  const answer = await ask(desk.server.api, "list_datasets", { agent });
  const datasets = answer.kind === "done" ? answer.result.datasets : [];
  const choices = datasets.map((dataset) => ({
    ...describeDataset(dataset),
    value: dataset.dataset,
  }));
  const none = `${agent} has no data set yet. Build one: chef build-dataset ${agent} SOURCE.`;
  return pick(title, "Which data set?", choices, none);
}

function describeDataset(dataset: ListedDataset): vscode.QuickPickItem {
  const counts = Object.entries(dataset.counts).map(([split, count]) => `${count} ${split}`);
  return {
    label: dataset.dataset,
    description: counts.join(" · "),
    detail: `${dataset.origin} · ${dataset.created_at}`,
  };
}

/** A job, newest first. */
export async function pickJob(
  desk: Desk,
  title: string,
  wanted: (job: JobSummary) => boolean,
  none: string,
): Promise<string | undefined> {
  const { jobs } = await answered(desk.server.api.GET("/jobs"));
  const choices = jobs.filter(wanted).map((job) => ({
    label: `${job.kind} of ${job.agent}`,
    description: job.status,
    detail: `${job.job_id} · ${new Date(job.created_at * 1000).toLocaleString()}`,
    value: job.job_id,
  }));
  return pick(title, "Which job?", choices, none);
}

function nothing(message: string): ChefProblem {
  return new ChefProblem(message, 404, "urn:code-chef:problem:nothing-to-pick", "");
}
