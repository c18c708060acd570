/** Secrets on their way to a server. */

import * as vscode from "vscode";

import { plain } from "./text.js";

const HERE = ["127.0.0.1", "localhost", "[::1]"];

/** Whether an address is one of this machine's own. */
export function isHere(url: string): boolean {
  return HERE.includes(new URL(url).hostname);
}

/** A secret that crosses a network in the clear can be read there: the person decides. */
export async function mayTravel(secret: string, url: string): Promise<boolean> {
  if (new URL(url).protocol === "https:" || isHere(url)) return true;
  const proceed = "Send It Unencrypted";
  const picked = await vscode.window.showWarningMessage(
    plain(`${url} is reached without encryption.`),
    { modal: true, detail: `Whoever is on the way there can read ${secret}.` },
    proceed,
  );
  return picked === proceed;
}
