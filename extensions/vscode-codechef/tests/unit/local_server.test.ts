import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, expect, test } from "vitest";

import { freePort } from "../../../tests/rig/ports.js";
import { LocalServer, registerLocalServer } from "../../src/local/local_server.js";
import { registerNotices } from "../../src/notices.js";
import { Server } from "../../src/server.js";
import { eventually } from "../eventually.js";
import { commands, editor, Secrets, settings, Uri, workspace } from "../fakes/vscode.js";

const CHEF = fileURLToPath(new URL("../fakes/chef.mjs", import.meta.url));

let folder: string;
let server: Server;
let local: LocalServer;
let secrets: Secrets;
const subscriptions: { dispose: () => unknown }[] = [];

beforeEach(async () => {
  editor.reset();
  folder = await mkdtemp(`${tmpdir()}/codechef-local-`);
  workspace.isTrusted = true;
  workspace.workspaceFolders = [{ name: "project", uri: Uri.file(folder) }];
  settings.set("codechef.apiUrl", `http://127.0.0.1:${await freePort()}`);
  settings.set("codechef.command", CHEF);
  secrets = new Secrets();
  server = new Server(secrets as never);
  local = registerLocalServer({ secrets, subscriptions } as never, server);
  editor.onMessage = ({ modal, buttons }) => (modal ? buttons[0] : undefined);
});

afterEach(async () => {
  await local.stop();
  server.dispose();
  for (const one of subscriptions.splice(0)) one.dispose();
  settings.delete("codechef.command");
  await rm(folder, { recursive: true });
});

const start = (): Promise<unknown> => commands.executeCommand("codechef.startLocalServer");

test("a local server is started, signed in to, and stopped", async () => {
  expect(await start()).toBe(true);
  expect(server.me?.name).toBe(userInfo().username);
  expect(editor.messages[0]?.detail).toContain("chef api tokens add");
  expect([...secrets.kept.values()].sort()).toEqual(["key-1", "token-1"]);
  expect(editor.context.get("codechef.localServer")).toBe(true);
  expect(local.log).toMatchObject({ text: expect.stringContaining("API ready") as string });
  await local.stop();
  await eventually(() => expect(editor.context.get("codechef.localServer")).toBe(false));
  expect(editor.messages.filter(({ severity }) => severity === "error")).toEqual([]);
  await expect(server.connect()).rejects.toThrow("No server answers");
});

test("that a server is away which the person stopped is no news", async () => {
  registerNotices({ subscriptions } as never, server, 0);
  await start();
  editor.messages = [];
  await commands.executeCommand("codechef.stopLocalServer");
  await eventually(() => expect(editor.context.get("codechef.state")).toBe("down"));
  expect(editor.messages).toEqual([]);
});

test("a server is started with what the settings say besides", async () => {
  settings.set("codechef.serveArguments", ["--no-local-models"]);
  expect(await start()).toBe(true);
  settings.delete("codechef.serveArguments");
  const line = "chef.mjs serve --no-local-models --api-port";
  expect(local.log).toMatchObject({ text: expect.stringContaining(line) as string });
});

test("nothing is made and nothing started without the person's yes", async () => {
  editor.onMessage = () => undefined;
  expect(await start()).toBe(false);
  expect(secrets.kept.size).toBe(0);
  expect(local.log).toMatchObject({ text: "" });
});

test("a second start makes nothing anew", async () => {
  await start();
  await local.stop();
  editor.messages = [];
  expect(await start()).toBe(true);
  expect(editor.messages).toEqual([]);
});

test("a start that is asked for twice is one", async () => {
  expect(await Promise.all([start(), start()])).toEqual([true, true]);
  expect(editor.messages.filter(({ modal }) => modal)).toHaveLength(1);
  expect(String(Reflect.get(local.log, "text")).match(/^> /gm)).toHaveLength(1);
  await commands.executeCommand("codechef.stopLocalServer");
  await expect(server.connect()).rejects.toThrow("No server answers");
});

test("a local server is not started in a workspace that is not trusted", async () => {
  workspace.isTrusted = false;
  expect(await start()).toBe(false);
  expect(editor.messages.map(({ buttons }) => buttons)).toEqual([["Manage Trust"]]);
});

test("without a folder there is nowhere to keep a server's state", async () => {
  workspace.workspaceFolders = [];
  expect(await start()).toBe(false);
  expect(editor.messages[0]?.buttons).toEqual(["Open Folder"]);
});

test("a chef that is not there is told with where it was looked for", async () => {
  settings.set("codechef.command", "/nowhere/chef");
  expect(await start()).toBe(false);
  expect(editor.said).toContain("looked at /nowhere/chef");
  expect(editor.messages[0]?.buttons).toEqual(["Name the Program"]);
});

test("the folder's own environment is where chef is found first", async () => {
  settings.set("codechef.command", "");
  const bin = `${folder}/.venv/bin`;
  await mkdir(bin, { recursive: true });
  await symlink(CHEF, `${bin}/chef`);
  expect(await start()).toBe(true);
  expect(local.log).toMatchObject({
    text: expect.stringContaining(`> ${bin}/chef serve`) as string,
  });
});

test("a server that ends at once is told with its last words, and what was made for it is kept", async () => {
  await writeFile(`${folder}/broken`, "");
  expect(await start()).toBe(false);
  await eventually(() => expect(editor.said).toContain("models.yaml cannot be read. Correct it."));
  expect(editor.messages.at(-1)?.buttons).toEqual(["Show Log"]);
  await rm(`${folder}/broken`);
  expect(await start()).toBe(true);
  expect([...secrets.kept.values()].sort()).toEqual(["key-1", "token-1"]);
});

test("a port that something else has is told, and nothing is started", async () => {
  const taken = createServer((socket) => {
    socket.on("error", () => undefined); // whoever only looks hangs up
    socket.end("HTTP/1.1 200 OK\r\n\r\nhello");
  });
  await new Promise<void>((done) => taken.listen(0, "127.0.0.1", done));
  settings.set("codechef.apiUrl", `http://127.0.0.1:${(taken.address() as AddressInfo).port}`);
  expect(await start()).toBe(false);
  expect(editor.said).toContain("Something else listens");
  taken.close();
});

test("a server that runs there already is news, and no fault", async () => {
  await start();
  const other = new LocalServer(server, {} as never, local.log);
  editor.messages = [];
  expect(await other.start()).toBe(false);
  expect(editor.messages.map(({ severity }) => severity)).toEqual(["info"]);
});

test("an address elsewhere is not started here", async () => {
  settings.set("codechef.apiUrl", "https://chef.example");
  expect(await start()).toBe(false);
  expect(editor.said).toContain("is not an address of this machine");
});

test("what chef itself says against a token is what the person reads", async () => {
  await writeFile(`${folder}/tokens.json`, JSON.stringify([{ name: userInfo().username }]));
  expect(await start()).toBe(false);
  expect(editor.said).toContain("has one already");
});
