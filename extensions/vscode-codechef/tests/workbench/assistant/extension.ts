/** Another extension's chat participant, whose language model calls the tools that there are. */

import * as vscode from "vscode";

const MODEL = { vendor: "codechef", id: "agent/cicd" };
const TURNS = 3;

/** Called by the editor. */
export function activate(context: vscode.ExtensionContext): void {
  context.subscriptions.push(vscode.chat.createChatParticipant("tests.assistant", answer));
}

async function answer(
  request: vscode.ChatRequest,
  _context: vscode.ChatContext,
  stream: vscode.ChatResponseStream,
  token: vscode.CancellationToken,
): Promise<void> {
  const model = await chosen(token);
  const messages = [vscode.LanguageModelChatMessage.User(request.prompt)];
  for (let turn = 0; turn < TURNS; turn += 1) {
    const tools = [...vscode.lm.tools];
    const response = await model.sendRequest(messages, { tools }, token);
    const calls: vscode.LanguageModelToolCallPart[] = [];
    for await (const part of response.stream) {
      if (part instanceof vscode.LanguageModelTextPart) stream.markdown(part.value);
      if (part instanceof vscode.LanguageModelToolCallPart) calls.push(part);
    }
    if (calls.length === 0) return;
    messages.push(vscode.LanguageModelChatMessage.Assistant(calls));
    for (const call of calls) {
      const options = { input: call.input, toolInvocationToken: request.toolInvocationToken };
      const { content } = await vscode.lm.invokeTool(call.name, options, token);
      const result = new vscode.LanguageModelToolResultPart(call.callId, content);
      messages.push(vscode.LanguageModelChatMessage.User([result]));
    }
  }
}

/** The model, as soon as the editor has heard of it: the gateway's key may have come just now. */
async function chosen(token: vscode.CancellationToken): Promise<vscode.LanguageModelChat> {
  while (!token.isCancellationRequested) {
    const [model] = await vscode.lm.selectChatModels(MODEL);
    if (model !== undefined) return model;
    await new Promise((done) => setTimeout(done, 200));
  }
  throw new vscode.CancellationError();
}
