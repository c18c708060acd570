/** What a server of one's own asks for, made with the person's yes: an access token, a key. */

import { userInfo } from "node:os";
import * as vscode from "vscode";

import { documentOf } from "./program.js";

/** The client's name of the gateway's key that the editor asks models with. */
const CLIENT = "vscode";
/** Whoever may run `chef` here may do everything by it; their token says no more. */
const ROLE = "admin";

export interface Chef {
  command: string;
  folder: string;
}

/** What there is to be made before the first start. */
interface Missing {
  token: boolean;
  key: boolean;
}

/** What was made; each is shown once by who made it, and kept by the editor. */
export interface Made {
  token?: string;
  key?: string;
}

/** Makes what is missing. Returns undefined when the person does not want it. */
export async function makeMissing(chef: Chef, signedIn: boolean): Promise<Made | undefined> {
  const keys = await documentOf(chef.command, ["gateway", "keys", "list"], chef.folder);
  const missing = { token: !signedIn, key: !hasClient(keys) };
  if (!missing.token && !missing.key) return {};
  const name = userInfo().username;
  if (!(await agreed(missing, name))) return undefined;
  const made: Made = {};
  if (missing.token) {
    const given = ["api", "tokens", "add", name, "--role", ROLE];
    made.token = textOf(await documentOf(chef.command, given, chef.folder), "token");
  }
  if (missing.key) {
    const given = ["gateway", "keys", "add", CLIENT];
    made.key = textOf(await documentOf(chef.command, given, chef.folder), "key");
  }
  return made;
}

async function agreed(missing: Missing, name: string): Promise<boolean> {
  const start = "Make and Start";
  const parts = [
    missing.token ? `an access token for ${name} (${ROLE}): chef api tokens add` : "",
    missing.key ? `a gateway key for ${CLIENT}: chef gateway keys add` : "",
  ];
  const picked = await vscode.window.showInformationMessage(
    "The server asks who speaks to it.",
    {
      modal: true,
      detail: [
        "To use it from here, there will be made:",
        ...parts.filter(Boolean).map((part) => `• ${part}`),
        "They are kept where the editor keeps secrets, and nowhere else.",
      ].join("\n"),
    },
    start,
  );
  return picked === start;
}

function hasClient(keys: unknown): boolean {
  return (keys as { name: string }[]).some(({ name }) => name === CLIENT);
}

function textOf(document: unknown, field: string): string {
  const value = (document as Record<string, unknown>)[field];
  if (typeof value !== "string") throw new Error(`chef printed no ${field}.`);
  return value;
}
