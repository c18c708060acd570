/** What a model answers, read from the gateway's stream: text as it comes, calls when whole. */

import { messagesOf } from "@codechef/client";
import * as vscode from "vscode";

/** A model may think for long before its first word; the gateway has its own limit. */
const SILENCE_MS = 600_000;

interface ToolCallDelta {
  index: number;
  id?: string | null;
  function?: { name?: string | null; arguments?: string | null };
}

interface Chunk {
  choices?: {
    delta?: { content?: string | null; tool_calls?: ToolCallDelta[] | null };
    finish_reason?: string | null;
  }[];
  error?: unknown;
}

interface Call {
  id: string;
  name: string;
  input: string;
}

/** Yields the parts of a streamed answer. Throws a LanguageModelError when it breaks off. */
export async function* partsOf(
  response: Response,
): AsyncGenerator<
  vscode.LanguageModelTextPart | vscode.LanguageModelToolCallPart,
  void,
  undefined
> {
  const calls = new Map<number, Call>();
  let finished = false;
  for await (const { data } of messagesOf(response, SILENCE_MS)) {
    if (data === "[DONE]") break;
    const { choices, error } = JSON.parse(data) as Chunk;
    if (error !== undefined) throw new vscode.LanguageModelError(messageIn({ error }));
    const [choice] = choices ?? [];
    if (choice?.delta?.content) yield new vscode.LanguageModelTextPart(choice.delta.content);
    for (const delta of choice?.delta?.tool_calls ?? []) gather(calls, delta);
    finished ||= Boolean(choice?.finish_reason);
  }
  if (!finished) throw new vscode.LanguageModelError("The model's answer broke off.");
  for (const call of calls.values()) yield whole(call);
}

/** Returns the error that an answer of the gateway stands for, as the editor tells them apart. */
export function refusal(status: number, body: string): vscode.LanguageModelError {
  const message = messageIn(parsed(body)) || `The gateway answered ${status}.`;
  if (status === 401 || status === 403) return vscode.LanguageModelError.NoPermissions(message);
  if (status === 404) return vscode.LanguageModelError.NotFound(message);
  if (status === 429) return vscode.LanguageModelError.Blocked(message);
  return new vscode.LanguageModelError(message);
}

function gather(calls: Map<number, Call>, { index, id, function: called }: ToolCallDelta): void {
  const call = calls.get(index) ?? { id: "", name: "", input: "" };
  if (id) call.id = id;
  call.name += called?.name ?? "";
  call.input += called?.arguments ?? "";
  calls.set(index, call);
}

function whole({ id, name, input }: Call): vscode.LanguageModelToolCallPart {
  const given = input.trim() === "" ? {} : parsed(input);
  if (typeof given !== "object" || given === null) {
    throw new vscode.LanguageModelError(`The model called ${name} with what is no JSON object.`);
  }
  return new vscode.LanguageModelToolCallPart(id, name, given);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Returns the words of an error in OpenAI's form; empty where there are none. */
function messageIn(body: unknown): string {
  const error = typeof body === "object" && body !== null && "error" in body ? body.error : body;
  if (typeof error === "string") return error;
  const named = typeof error === "object" && error !== null && "message" in error;
  return named && typeof error.message === "string" ? error.message : "";
}
