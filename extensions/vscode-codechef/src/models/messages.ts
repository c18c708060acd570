/** Messages of the editor in the form of OpenAI's chat completions, which the gateway takes. */

import * as vscode from "vscode";

interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

export type WireMessage =
  | { role: "system" | "user"; content: string; name?: string }
  | { role: "assistant"; content: string | null; tool_calls?: ToolCall[] }
  | { role: "tool"; tool_call_id: string; content: string };

interface WireTool {
  type: "function";
  function: { name: string; description: string; parameters: object };
}

/** A tool without a schema takes nothing. */
const NOTHING = { type: "object", properties: {} };

/**
 * Returns the messages as the gateway takes them.
 *
 * What is no text, call or result (the editor's own marks, pictures) has no place there: `ignored`
 * is told the kind of each such part.
 */
export function wireMessages(
  messages: readonly vscode.LanguageModelChatRequestMessage[],
  ignored: (kind: string) => void,
): WireMessage[] {
  return messages.flatMap(({ role, content, name }) => {
    const text = content.filter(isText).map(textOf).join("");
    for (const part of content) if (!isKnown(part)) ignored(kindOf(part));
    if (role === vscode.LanguageModelChatMessageRole.Assistant) {
      return [
        assistant(
          text,
          content.filter((part) => part instanceof vscode.LanguageModelToolCallPart),
        ),
      ];
    }
    // The editor numbers its own instructions with a role that its stable API does not name.
    const byUser = (role as number) === (vscode.LanguageModelChatMessageRole.User as number);
    const speaker = byUser ? "user" : "system";
    const said: WireMessage = {
      role: speaker,
      content: text,
      ...(name === undefined ? {} : { name }),
    };
    const results = content.filter((part) => part instanceof vscode.LanguageModelToolResultPart);
    // Results answer the calls of the message before: they stand first.
    return [...results.map(toolResult), ...(text === "" && results.length > 0 ? [] : [said])];
  });
}

/** Returns tools as the gateway takes them. */
export function wireTools(tools: readonly vscode.LanguageModelChatTool[]): WireTool[] {
  return tools.map(({ name, description, inputSchema }) => ({
    type: "function",
    function: { name, description, parameters: inputSchema ?? NOTHING },
  }));
}

/** Returns the text of parts: of a message, or of a tool's result. */
export function textOf(part: unknown): string {
  if (part instanceof vscode.LanguageModelTextPart) return part.value;
  return typeof part === "string" ? part : JSON.stringify(part);
}

function assistant(text: string, calls: readonly vscode.LanguageModelToolCallPart[]): WireMessage {
  if (calls.length === 0) return { role: "assistant", content: text };
  return {
    role: "assistant",
    content: text === "" ? null : text,
    tool_calls: calls.map(({ callId, name, input }) => ({
      id: callId,
      type: "function",
      function: { name, arguments: JSON.stringify(input) },
    })),
  };
}

function toolResult({ callId, content }: vscode.LanguageModelToolResultPart): WireMessage {
  return { role: "tool", tool_call_id: callId, content: content.map(textOf).join("") };
}

function isText(part: unknown): part is vscode.LanguageModelTextPart {
  return part instanceof vscode.LanguageModelTextPart;
}

function isKnown(part: unknown): boolean {
  return (
    isText(part) ||
    part instanceof vscode.LanguageModelToolCallPart ||
    part instanceof vscode.LanguageModelToolResultPart
  );
}

function kindOf(part: unknown): string {
  const mime =
    typeof part === "object" && part !== null && "mimeType" in part ? part.mimeType : null;
  return typeof mime === "string" ? mime : typeof part;
}
