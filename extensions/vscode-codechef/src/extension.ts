import * as vscode from "vscode";

import { Approvals } from "./approvals.js";
import { registerAnswering } from "./chat/answering.js";
import { registerChat } from "./chat/participant.js";
import { registerCommands } from "./commands/commands.js";
import type { Desk } from "./desk.js";
import { type LocalServer, registerLocalServer } from "./local/local_server.js";
import { registerModels } from "./models/provider.js";
import { registerNotices } from "./notices.js";
import { Picture } from "./picture.js";
import { Server } from "./server.js";
import { registerSignIn } from "./sign_in.js";
import { registerStatusBar } from "./status_bar.js";
import { registerTools } from "./tools/tools.js";
import { registerTrees } from "./trees/trees.js";
import { registerViews, Views } from "./webviews/views.js";

let local: LocalServer | undefined;

/** Called by the editor when something of ours is first needed. */
export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel("code/chef", { log: true });
  const server = new Server(context.secrets);
  const picture = new Picture(server);
  const approvals = new Approvals(server, context.workspaceState);
  const views = new Views(context.extensionUri, server);
  const desk: Desk = { server, picture, approvals, views };
  context.subscriptions.push(log, server, picture, approvals, views);
  registerSignIn(context, server);
  registerNotices(context, server);
  local = registerLocalServer(context, server);
  registerCommands(context, desk);
  registerTrees(context, desk);
  registerViews(context, views);
  registerStatusBar(context, server, picture);
  registerAnswering(context, approvals);
  registerChat(context, server, log);
  registerModels(context, server, log);
  registerTools(context, server);
  context.subscriptions.push(
    vscode.window.onDidChangeWindowState(({ focused }) => {
      if (focused) server.retry();
    }),
  );
  server.start();
}

/** Called by the editor when it ends: what was started here is stopped. */
export function deactivate(): Promise<void> | undefined {
  return local?.stop();
}
