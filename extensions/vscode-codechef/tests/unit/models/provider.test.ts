import { afterEach, beforeEach, expect, test } from "vitest";
import * as vscode from "vscode";

import { Gateway } from "../../../src/models/gateway.js";
import { registerModels, RoutedModels } from "../../../src/models/provider.js";
import { Server } from "../../../src/server.js";
import { ApiDouble } from "../../double.js";
import {
  CancellationTokenSource,
  commands,
  editor,
  Secrets,
  settings,
} from "../../fakes/vscode.js";
import { chunk, GatewayDouble } from "../../gateway_double.js";

const { User, Assistant } = vscode.LanguageModelChatMessageRole;

let api: ApiDouble;
let gateway: GatewayDouble;
let secrets: Secrets;
let models: RoutedModels;
const log: string[] = [];

beforeEach(async () => {
  editor.reset();
  log.splice(0);
  [api, gateway] = await Promise.all([ApiDouble.start(), GatewayDouble.start()]);
  settings.set("codechef.apiUrl", api.url);
  settings.set("codechef.gatewayUrl", "");
  settings.set("codechef.maxInputTokens", 1000);
  settings.set("codechef.maxOutputTokens", 100);
  const serves = "qwen/qwen-2.5-coder-32b-instruct";
  const routed = { id: "agent/feature_dev", agent: "feature_dev", serves, version: "v1.0.0" };
  api.on("GET /gateway", {
    base_url: `${gateway.url}/v1`,
    base_urls: [`${gateway.url}/v1`],
    key_needed: true,
    models: [{ ...routed, rollout_id: "ro_1" }],
  });
  secrets = new Secrets();
  const access = new Gateway(new Server(secrets as never), secrets as never);
  const note = (text: string): void => void log.push(text);
  models = new RoutedModels(access, { info: note, warn: note });
});
afterEach(() => Promise.all([api.stop(), gateway.stop()]));

type Offered = Awaited<ReturnType<RoutedModels["provideLanguageModelChatInformation"]>>;

function offered(silent = true): Promise<Offered> {
  const token = new CancellationTokenSource().token as never;
  return models.provideLanguageModelChatInformation({ silent }, token);
}

async function ids(): Promise<string[]> {
  return (await offered()).map(({ id }) => id);
}

function message(role: number, ...content: unknown[]): vscode.LanguageModelChatRequestMessage {
  const made: unknown = { role, content, name: undefined };
  return made as vscode.LanguageModelChatRequestMessage;
}

const text = (value: string): vscode.LanguageModelTextPart =>
  new vscode.LanguageModelTextPart(value);

async function ask(
  messages = [message(User, text("Hello"))],
  options: Partial<vscode.ProvideLanguageModelChatResponseOptions> = {},
  source = new CancellationTokenSource(),
): Promise<unknown[]> {
  const parts: unknown[] = [];
  const model = (await offered()).at(1) ?? (await offered()).at(0);
  if (model === undefined) throw new Error("No model is offered.");
  const toolMode = vscode.LanguageModelChatToolMode.Auto;
  const progress = { report: (part: unknown) => void parts.push(part) };
  const given = { toolMode, ...options };
  const token = source.token as never;
  await models.provideLanguageModelChatResponse(model, messages, given, progress, token);
  return parts;
}

test("every agent's model is offered, with what serves it", async () => {
  expect(await offered()).toMatchObject([
    { id: "none" },
    {
      id: "agent/feature_dev",
      detail: "qwen/qwen-2.5-coder-32b-instruct v1.0.0",
      tooltip: expect.stringContaining("ro_1") as string,
      maxInputTokens: 1000,
    },
    { id: "agent/cicd" },
  ]);
});

test("a gateway that the settings name needs no API", async () => {
  await api.stop();
  settings.set("codechef.gatewayUrl", `${gateway.url}/`);
  expect(await ids()).toEqual(["none", "agent/feature_dev", "agent/cicd"]);
  api = await ApiDouble.start();
});

test("without a gateway @chef can be asked still, and the log says why there is no more", async () => {
  await gateway.stop();
  expect(await ids()).toEqual(["none"]);
  expect(log.join()).toContain("No server answers");
  await expect(ask()).rejects.toMatchObject({ code: "NotFound" });
  gateway = await GatewayDouble.start();
});

test("a gateway's setting that is no address takes @chef from nobody", async () => {
  settings.set("codechef.gatewayUrl", "127.0.0.1:8130");
  expect(await ids()).toEqual(["none"]);
  expect(log.join()).toContain('codechef.gatewayUrl is "127.0.0.1:8130"');
});

test("a key that no gateway could take is not asked for: what is missing is told", async () => {
  const server = new Server(secrets as never);
  const subscriptions: { dispose: () => unknown }[] = [];
  registerModels({ secrets, subscriptions } as never, server, {} as never);
  api.on("GET /gateway", { base_url: null, base_urls: [], key_needed: null, models: [] });
  await commands.executeCommand("codechef.setGatewayKey");
  await api.stop();
  await commands.executeCommand("codechef.setGatewayKey");
  expect(editor.inputs).toEqual([]);
  expect(editor.messages.map(({ text }) => text)).toEqual([
    expect.stringContaining("no gateway that runs. Start one"),
    expect.stringContaining("No server answers"),
  ]);
  for (const one of [...subscriptions, server]) one.dispose();
  api = await ApiDouble.start();
});

test("models stay to be chosen while their gateway is away", async () => {
  const before = await ids();
  api.on("GET /gateway", { base_url: null, base_urls: [], key_needed: null, models: [] });
  expect(await ids()).toEqual(before);
  await gateway.stop();
  settings.set("codechef.gatewayUrl", gateway.url);
  expect(await ids()).toEqual(before);
  await expect(ask()).rejects.toThrow("No server answers");
  gateway = await GatewayDouble.start();
});

test("a key is asked for only when a person looks, and kept for this address alone", async () => {
  gateway.key = "secret";
  expect(await ids()).toEqual(["none"]);
  expect(editor.inputs).toEqual([]);
  editor.onInput = () => "secret";
  expect(await offered(false)).toHaveLength(3);
  expect(editor.inputs[0]?.prompt).toContain(gateway.url);
  const other = await GatewayDouble.start();
  settings.set("codechef.gatewayUrl", other.url);
  await offered();
  expect(other.keys).toEqual([undefined]);
  await other.stop();
});

test("a key goes to another machine in the clear only when the person says so", async () => {
  const server = new Server(secrets as never);
  const subscriptions: { dispose: () => unknown }[] = [];
  registerModels({ secrets, subscriptions } as never, server, {} as never);
  const url = "http://gateway.invalid:8130/v1";
  settings.set("codechef.gatewayUrl", url);
  await commands.executeCommand("codechef.setGatewayKey");
  expect(editor.messages[0]?.detail).toContain("can read the gateway's key");
  expect(editor.inputs).toEqual([]);
  editor.onMessage = () => "Send It Unencrypted";
  editor.onInput = () => "secret";
  await commands.executeCommand("codechef.setGatewayKey");
  expect(await secrets.get("codechef.gatewayKey:http://gateway.invalid:8130")).toBe("secret");
  for (const one of [...subscriptions, server]) one.dispose();
});

test("an answer comes as it is written", async () => {
  gateway.answers = [chunk({ content: "Hel" }), chunk({ content: "lo" }), chunk({}, "stop")];
  expect(await ask()).toEqual([text("Hel"), text("lo")]);
  expect(gateway.bodies[0]).toMatchObject({
    model: "agent/feature_dev",
    stream: true,
    messages: [{ role: "user", content: "Hello" }],
  });
});

test("a tool call that comes in pieces is given whole", async () => {
  const called = (index: number, id: string | undefined, name: string, given: string): object => ({
    tool_calls: [{ index, id, function: { name, arguments: given } }],
  });
  gateway.answers = [
    chunk(called(0, "call_1", "read_file", '{"pa')),
    chunk(called(1, "call_2", "list", "")),
    chunk(called(0, undefined, "", 'th": "a.py"}')),
    chunk({}, "tool_calls"),
  ];
  const tools = [{ name: "read_file", description: "Reads." }];
  expect(await ask(undefined, { tools })).toEqual([
    new vscode.LanguageModelToolCallPart("call_1", "read_file", { path: "a.py" }),
    new vscode.LanguageModelToolCallPart("call_2", "list", {}),
  ]);
  expect(gateway.bodies[0]).toMatchObject({
    tool_choice: "auto",
    tools: [{ type: "function", function: { name: "read_file", parameters: { type: "object" } } }],
  });
});

test("calls and their results go back in the form of the API", async () => {
  gateway.answers = [chunk({ content: "Done" }, "stop")];
  await ask(
    [
      message(3, text("Be brief.")),
      message(User, text("Read it.")),
      message(Assistant, new vscode.LanguageModelToolCallPart("c1", "read", { path: "a" })),
      message(User, new vscode.LanguageModelToolResultPart("c1", [text("x = 1")]), text("Now?")),
    ],
    {
      toolMode: vscode.LanguageModelChatToolMode.Required,
      tools: [{ name: "t", description: "" }],
    },
  );
  const call = {
    id: "c1",
    type: "function",
    function: { name: "read", arguments: '{"path":"a"}' },
  };
  expect(gateway.bodies[0]).toMatchObject({
    tool_choice: "required",
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Read it." },
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "c1", content: "x = 1" },
      { role: "user", content: "Now?" },
    ],
  });
});

test("a conversation stays on its arm, another may get another", async () => {
  gateway.answers = [chunk({ content: "Hi" }, "stop")];
  const begun = [message(User, text("Hello"))];
  await ask(begun);
  await ask([...begun, message(Assistant, text("Hi")), message(User, text("And now?"))]);
  await ask([message(User, text("Something else"))]);
  const [first, second, third] = gateway.tasks;
  expect(first).toBe(second);
  expect(third).not.toBe(first);
});

test.each([
  [401, "NoPermissions"],
  [404, "NotFound"],
  [429, "Blocked"],
])("a refusal %i is an error of the kind %s, in the gateway's words", async (status, code) => {
  gateway.refusal = { status, message: "Not like this. Do that." };
  await expect(ask()).rejects.toMatchObject({ code, message: "Not like this. Do that." });
});

test("an answer that breaks off is an error, not an answer", async () => {
  gateway.answers = [chunk({ content: "Hel" })];
  await expect(ask()).rejects.toThrow("broke off");
  gateway.answers = [chunk({ content: "Hel" }), { error: { message: "The upstream is gone." } }];
  await expect(ask()).rejects.toThrow("The upstream is gone.");
});

test("a call with broken arguments is an error that names the tool", async () => {
  const call = { index: 0, id: "c", function: { name: "read", arguments: '{"a":' } };
  gateway.answers = [chunk({ tool_calls: [call] }, "tool_calls")];
  await expect(ask()).rejects.toThrow("read");
});

test("who cancels ends the request at the gateway", async () => {
  const source = new CancellationTokenSource();
  gateway.answers = undefined;
  gateway.onAsked = () => setTimeout(() => source.cancel(), 20);
  expect(await ask(undefined, {}, source)).toEqual([]);
  await expect.poll(() => gateway.left).toBe(1);
});

test("tokens are estimated from the bytes of a text", async () => {
  const [model] = await offered();
  expect(await models.provideTokenCount(model as never, "12345678")).toBe(2);
  expect(await models.provideTokenCount(model as never, message(User, text("123456789")))).toBe(3);
});

test("what has no place in a request is left out with a line in the log", async () => {
  gateway.answers = [chunk({ content: "Hi" }, "stop")];
  await ask([message(User, text("Look"), { mimeType: "image/png", data: new Uint8Array(2) })]);
  expect(gateway.bodies[0]).toMatchObject({ messages: [{ role: "user", content: "Look" }] });
  expect(log.join()).toContain("image/png");
});
