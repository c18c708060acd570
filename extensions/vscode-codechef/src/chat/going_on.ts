import * as vscode from "vscode";

/** Has `@chef` go on, in the chat, with the conversation that waited for an approval. */
export async function goOnInChat(approvalId: string): Promise<void> {
  const query = `@chef /approve ${approvalId}`;
  await vscode.commands.executeCommand("workbench.action.chat.open", { query });
}
