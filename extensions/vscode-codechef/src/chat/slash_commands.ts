/** What a slash command means: the beginning of a sentence, which the server understands. */

import type * as vscode from "vscode";

const SENTENCES: Readonly<Record<string, string>> = {
  train: "train",
  evaluate: "evaluate",
  deploy: "deploy",
  rollback: "roll back",
  models: "list the models of",
  jobs: "show the job",
};

/** Returns what a person said, as the server is told it; attached files are named by their paths. */
export function sentenceOf(request: vscode.ChatRequest): string {
  const said = withPaths(request.prompt, request.references).trim();
  const begins = request.command === undefined ? "" : (SENTENCES[request.command] ?? "");
  return `${begins} ${said}`.trim();
}

function withPaths(prompt: string, references: readonly vscode.ChatPromptReference[]): string {
  let text = prompt;
  // The last one in the text comes first, so that the places of the others stay.
  for (const { range, value } of references) {
    const path = pathOf(value);
    if (range !== undefined && path !== undefined) {
      text = text.slice(0, range[0]) + path + text.slice(range[1]);
    }
  }
  return text;
}

function pathOf(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if ("fsPath" in value && typeof value.fsPath === "string") return value.fsPath;
  return "uri" in value ? pathOf(value.uri) : undefined;
}
