/** Signing in and out, and where the server is. */

import { ChefProblem } from "@codechef/client";
import * as vscode from "vscode";

import { isAddress, show, told } from "./problems.js";
import { EXAMPLE, type Server } from "./server.js";
import { plain } from "./text.js";
import { mayTravel } from "./travelling.js";

/** Registers the commands about who one is and where the server is. */
export function registerSignIn(context: vscode.ExtensionContext, server: Server): void {
  const { registerCommand } = vscode.commands;
  context.subscriptions.push(
    registerCommand("codechef.signIn", () => signIn(server)),
    registerCommand("codechef.signOut", () => server.signOut()),
    registerCommand("codechef.setAddress", async () => {
      if (await setAddress(server)) await connect(server);
    }),
    registerCommand("codechef.connect", () => connect(server)),
  );
}

/** Asks for an access token until the server knows it; true when somebody is signed in. */
async function signIn(server: Server): Promise<boolean> {
  if (!isAddress(server.url)) await setAddress(server);
  if (!isAddress(server.url) || !(await mayTravel("the access token", server.url))) return false;
  let refused: string | undefined;
  for (;;) {
    const token = await vscode.window.showInputBox({
      title: "Sign in to code/chef",
      prompt:
        refused ?? plain(`Access token for ${server.url}: chef api tokens add NAME --role ROLE`),
      password: true,
      ignoreFocusOut: true,
      validateInput: (text) => (/\s/.test(text.trim()) ? "A token has no spaces." : undefined),
    });
    if (!token?.trim()) return false;
    try {
      const me = await server.signIn(token.trim());
      void vscode.window.showInformationMessage(
        plain(`Signed in to ${server.url} as ${me.name} (${me.role}).`),
      );
      return true;
    } catch (error) {
      if (!(error instanceof ChefProblem)) throw error;
      if (error.status !== 401) {
        await show(error);
        return false;
      }
      refused = told(error);
    }
  }
}

/** Asks where the server is; false when the person leaves. */
async function setAddress(server: Server): Promise<boolean> {
  const url = await vscode.window.showInputBox({
    title: "Address of the code/chef API",
    value: server.url,
    ignoreFocusOut: true,
    validateInput: (text) => (isAddress(text) ? undefined : `E.g. ${EXAMPLE}`),
  });
  if (url === undefined) return false;
  const settings = vscode.workspace.getConfiguration("codechef");
  const inFolder = settings.inspect("apiUrl")?.workspaceValue !== undefined;
  const { Global, Workspace } = vscode.ConfigurationTarget;
  await settings.update("apiUrl", url.trim(), inFolder ? Workspace : Global);
  return true;
}

async function connect(server: Server): Promise<void> {
  try {
    await server.connect();
    server.start();
  } catch (error) {
    if (!(error instanceof ChefProblem)) throw error;
    await show(error);
  }
}
