import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, beforeEach, expect, test } from "vitest";

import { registerNotices } from "../../src/notices.js";
import { type Change, Server } from "../../src/server.js";
import { registerSignIn } from "../../src/sign_in.js";
import { ApiDouble } from "../double.js";
import { eventually } from "../eventually.js";
import { Secrets } from "../fakes/data.js";
import { commands, editor } from "../fakes/window.js";
import { settings, workspace } from "../fakes/workspace.js";

let api: ApiDouble;
let server: Server;
let secrets: Secrets;
const context = { subscriptions: [] as { dispose: () => void }[] };

beforeEach(async () => {
  editor.reset();
  api = await ApiDouble.start();
  settings.set("codechef.apiUrl", `${api.url}/`);
  secrets = new Secrets();
  server = new Server(secrets as never);
  registerSignIn(context as never, server);
});

afterEach(async () => {
  server.dispose();
  for (const one of context.subscriptions.splice(0)) one.dispose();
  await api.stop();
});

/** Tells changes of state, after so long a time away. */
const notices = (patienceMs = 60_000): void =>
  registerNotices(context as never, server, patienceMs);

/** Waits for a state. */
const becomes = (kind: string): Promise<void> =>
  eventually(() => expect(server.state.kind).toBe(kind));

test("a server that is not there is a state, and a problem that names its address", async () => {
  settings.set("codechef.apiUrl", "http://127.0.0.1:9/");
  await expect(server.connect()).rejects.toThrow("http://127.0.0.1:9");
  expect(server.state.kind).toBe("failed");
});

test("a server that was never there is no notification: the views say how to get one", async () => {
  notices();
  settings.set("codechef.apiUrl", "http://127.0.0.1:9/");
  server.start();
  await becomes("failed");
  expect(editor.context.get("codechef.state")).toBe("down");
  expect(editor.messages).toEqual([]);
});

test("what changes on the server is told as it happens", async () => {
  const changes: Change[] = [];
  server.onDidChange((change) => changes.push(change));
  server.start();
  await api.listened("/activity/events");
  await api.listened("/jobs/events");
  await eventually(() => expect(changes).toEqual([{ kind: "everything" }]));
  api.tell("/activity/events", { action: "approval_asked" });
  api.tell("/jobs/events", { job_id: "job_1", status: "completed" });
  await eventually(() =>
    expect(changes.map(({ kind }) => kind).sort()).toEqual(["activity", "everything", "job"]),
  );
});

test("a token is asked for, tried, and kept only when it is somebody's", async () => {
  api.token = "right";
  const given = ["wrong", "right"];
  editor.onInput = () => given.shift();
  expect(await commands.executeCommand("codechef.signIn")).toBe(true);
  expect(editor.inputs.map(({ prompt }) => prompt)[1]).toContain("An access token is needed");
  expect([...secrets.kept]).toEqual([[`codechef.token:${api.url}`, "right"]]);
  expect(server.me?.name).toBe("ada");
  expect(editor.said).not.toContain("right");
});

test("who one is signed in as makes no link in a notification", async () => {
  api.me = { ...api.me, name: "[a](command:b)" };
  editor.onInput = () => "right";
  await commands.executeCommand("codechef.signIn");
  expect(editor.said).toContain("as [a] (command:b) (admin)");
});

test("a token goes only to the address that it was given for", async () => {
  secrets.kept.set("codechef.token:http://127.0.0.1:1", "of another server");
  await server.connect();
  expect(api.heard[0]?.token).toBeUndefined();
});

test("a token crosses no network in the clear unless the person says so", async () => {
  settings.set("codechef.apiUrl", "http://chef.example:8131");
  expect(await commands.executeCommand("codechef.signIn")).toBe(false);
  expect(editor.messages[0]?.modal).toBe(true);
  expect(editor.inputs).toEqual([]);
});

test("a token that was revoked is told once, with the button that mends it", async () => {
  notices();
  api.token = "right";
  secrets.kept.set(`codechef.token:${api.url}`, "right");
  server.start();
  await api.listened("/jobs/events");
  await becomes("connected");
  api.token = "another";
  api.hangUp();
  await becomes("failed");
  expect(editor.context.get("codechef.state")).toBe("unsigned");
  expect(editor.messages.map(({ buttons }) => buttons)).toEqual([["Sign In"]]);
});

test("a server that goes away is told once, and found again when it is back", async () => {
  notices(0);
  server.start();
  await api.listened("/activity/events");
  api.away = true;
  api.hangUp();
  await becomes("reconnecting");
  await eventually(() => expect(editor.messages).toHaveLength(1));
  api.away = false;
  await becomes("connected");
  expect(editor.messages[0]?.buttons).toEqual(["Start Local Server", "Set Address"]);
  expect(editor.messages).toHaveLength(1);
});

test("something else that answers at the address is called what it is", async () => {
  notices();
  const page = createServer((_request, response) => response.end("<html>hello</html>"));
  await new Promise<void>((done) => page.listen(0, "127.0.0.1", done));
  settings.set("codechef.apiUrl", `http://127.0.0.1:${(page.address() as AddressInfo).port}`);
  await expect(server.connect()).rejects.toThrow("not a code/chef API");
  expect(editor.messages.map(({ buttons }) => buttons)).toEqual([["Set Address"]]);
  page.close();
});

test.each(["127.0.0.1:8131", "localhost:8131", ""])(
  "a setting that is no address (%j) is told by its name, with the button that mends it",
  async (url) => {
    notices();
    settings.set("codechef.apiUrl", url);
    server.start();
    await becomes("failed");
    expect(editor.said).toContain(`codechef.apiUrl is ${JSON.stringify(url)}`);
    expect(editor.messages.map(({ buttons }) => buttons)).toEqual([["Set Address"]]);
    await expect(server.connect()).rejects.toThrow("is not an address");
  },
);

test("another address in the settings is connected to at once", async () => {
  const other = await ApiDouble.start();
  other.me = { name: "bea", role: "viewer", may: ["read"] };
  server.start();
  await becomes("connected");
  await workspace.getConfiguration("codechef").update("apiUrl", other.url);
  await eventually(() => expect(server.me?.name).toBe("bea"));
  await other.stop();
});

test("whoever names an address hears at once that nothing answers there", async () => {
  notices();
  server.start();
  await becomes("connected");
  editor.onInput = () => "http://127.0.0.1:9";
  await commands.executeCommand("codechef.setAddress");
  expect(editor.messages.map(({ text, buttons }) => [text, buttons])).toEqual([
    [
      expect.stringContaining("No server answers at http://127.0.0.1:9."),
      ["Start Local Server", "Set Address"],
    ],
  ]);
});

test("what the server says makes no link and runs no command in a notification", async () => {
  api.on(
    "GET /me",
    {
      type: "x",
      title: "",
      status: 403,
      detail: "[a](command:b)",
      remedy: "",
      errors: [],
      checklist: [],
    },
    403,
  );
  await commands.executeCommand("codechef.connect");
  expect(editor.said).toContain("[a] (command:b)");
});

test("signing out is what the person wanted, and no news", async () => {
  notices();
  api.token = "right";
  secrets.kept.set(`codechef.token:${api.url}`, "right");
  server.start();
  await becomes("connected");
  await commands.executeCommand("codechef.signOut");
  await becomes("failed");
  expect(secrets.kept.size).toBe(0);
  expect(editor.messages).toEqual([]);
});

test("a problem that a command and the state both tell is shown once", async () => {
  notices();
  await server.connect();
  api.token = "another";
  await commands.executeCommand("codechef.connect");
  expect(editor.messages).toHaveLength(1);
});
