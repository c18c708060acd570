import { readFileSync } from "node:fs";

import { afterEach, beforeEach, expect, test } from "vitest";
import type * as vscode from "vscode";

import { toolsOf } from "../../../scripts/tools.mjs";
import { Server } from "../../../src/server.js";
import { registerTools, toolOf } from "../../../src/tools/tools.js";
import { ApiDouble, problem } from "../../double.js";
import { CancellationTokenSource, lm, Secrets, settings } from "../../fakes/vscode.js";
import { shownApproval, shownCall } from "../../talk.js";

type Tool = vscode.LanguageModelTool<Record<string, unknown>>;

const manifest = JSON.parse(
  readFileSync(new URL("../../../package.json", import.meta.url), "utf8"),
) as { contributes: { languageModelTools: { name: string; inputSchema: object }[] } };

let api: ApiDouble;
let server: Server;
beforeEach(async () => {
  api = await ApiDouble.start();
  settings.set("codechef.apiUrl", api.url);
  server = new Server(new Secrets() as never);
});
afterEach(() => api.stop());

function named(name: string): Tool {
  const contributed = manifest.contributes.languageModelTools.find((one) => one.name === name);
  return toolOf(contributed as never, server);
}

const token = new CancellationTokenSource().token as never;

async function invoked(tool: Tool, input: Record<string, unknown>): Promise<unknown> {
  const result = await tool.invoke({ input, toolInvocationToken: undefined }, token);
  const [part] = result?.content as { value: string }[];
  return JSON.parse(part?.value ?? "");
}

async function prepared(
  tool: Tool,
  input: Record<string, unknown>,
): Promise<vscode.PreparedToolInvocation> {
  const found = await tool.prepareInvocation?.({ input }, token);
  if (!found) throw new Error("Nothing is prepared.");
  return found;
}

test("every contributed tool is registered", () => {
  registerTools({ subscriptions: [], extension: { packageJSON: manifest } } as never, server);
  const names = manifest.contributes.languageModelTools.map(({ name }) => name);
  expect([...lm.registered.keys()].sort()).toEqual(names.sort());
});

test("a reading tool asks nobody and gives what the server answers", async () => {
  api.on("POST /modelops/list_agent_models", { agent: "cicd", versions: [] });
  const tool = named("codechef_list_agent_models");
  expect(await prepared(tool, { agent: "cicd" })).not.toHaveProperty("confirmationMessages");
  expect(await invoked(tool, { agent: "cicd" })).toEqual({ agent: "cicd", versions: [] });
  expect(api.heard.map(({ body }) => body)).toEqual([{ agent: "cicd" }]);
});

test("a changing tool is confirmed with what it would do and its price, by a dry run", async () => {
  api.on("POST /modelops/train_subagent_model", {
    dry_run: true,
    summary: "Train [feature_dev](command:evil)",
    estimated_cost_usd: 15,
    approval_needed: true,
    objection: "Make a demo run first.",
    details: {},
  });
  const { confirmationMessages } = await prepared(named("codechef_train_subagent_model"), {
    agent: "feature_dev",
  });
  expect(confirmationMessages?.message).toContain("Train \\[feature\\_dev\\]\\(command\\:evil\\)");
  expect(confirmationMessages?.message).toContain("\\$15\\.00");
  expect(confirmationMessages?.message).toContain("approval");
  expect(confirmationMessages?.message).toContain("Make a demo run first");
  expect(api.heard.map(({ body }) => body)).toEqual([{ agent: "feature_dev", dry_run: true }]);
});

test("a dry run that a model asks for is not confirmed", async () => {
  const input = { agent: "cicd", dry_run: true };
  const found = await prepared(named("codechef_deploy_model_to_agent"), input);
  expect(found).not.toHaveProperty("confirmationMessages");
  expect(api.heard).toEqual([]);
});

test("what waits for an approval is told as not done", async () => {
  const waits = { approval_id: "ap_1", detail: "Needs approval ap_1.", approval: {} };
  api.on("POST /modelops/deploy_model_to_agent", waits, 202);
  expect(await invoked(named("codechef_deploy_model_to_agent"), { agent: "cicd" })).toMatchObject({
    done: false,
    approval_id: "ap_1",
  });
});

test("what is forbidden or wrong is told with the remedy", async () => {
  const details = problem(403, "A viewer may not change anything.", "Ask an operator.");
  api.on("POST /modelops/reset_breaker", details, 403);
  expect(await invoked(named("codechef_reset_breaker"), { agent: "cicd" })).toEqual({
    done: false,
    error: "A viewer may not change anything.",
    remedy: "Ask an operator.",
    type: details.type,
  });
});

test("a plan that cannot be made stands in the way of the change, with the remedy", async () => {
  api.on("POST /modelops/train_subagent_model", problem(422, "No such agent.", "Name one."), 422);
  const input = { agent: "nobody" };
  await expect(prepared(named("codechef_train_subagent_model"), input)).rejects.toThrow(
    "No such agent. Name one.",
  );
});

test("what was approved is carried out after a person has seen it", async () => {
  api.on("GET /approvals/ap_1", shownApproval("approved"));
  api.on("POST /approvals/ap_1/resume", { use_case: "deploy_model_to_agent", result: {} });
  const tool = named("codechef_carry_out_approved");
  const { confirmationMessages } = await prepared(tool, { approval_id: "ap_1" });
  expect(confirmationMessages?.message).toContain("Deploy v1\\.2\\.0");
  expect(await invoked(tool, { approval_id: "ap_1" })).toMatchObject({ result: {} });
});

test("a person is not asked about an agent's call, which only its conversation carries out", async () => {
  api.on("GET /approvals/ap_1", shownCall({ status: "approved" }));
  api.on("POST /approvals/ap_1/resume", problem(409, "The conversation 't9' carries it out."), 409);
  const tool = named("codechef_carry_out_approved");
  expect(await prepared(tool, { approval_id: "ap_1" })).not.toHaveProperty("confirmationMessages");
  expect(await invoked(tool, { approval_id: "ap_1" })).toMatchObject({ done: false });
});

test("an approval's id cannot lead to another path", async () => {
  const id = "../modelops/reset_breaker";
  await invoked(named("codechef_carry_out_approved"), { approval_id: id });
  expect(api.heard.map(({ path }) => path)).toEqual([
    "/approvals/..%2Fmodelops%2Freset_breaker/resume",
  ]);
});

test("a schema has no references, no titles, and no null beside a type", () => {
  const schema = (name: string): object => ({ $ref: `#/components/schemas/${name}` });
  const post = (name: string, more: object): object => ({
    requestBody: { content: { "application/json": { schema: schema(name) } } },
    responses: more,
  });
  const [tool] = toolsOf({
    paths: {
      "/modelops/do_it": { post: post("DoIt", { 202: {} }) },
      "/approvals/{approval_id}/resume": { post: { summary: "Carry out." } },
    },
    components: {
      schemas: {
        DoIt: {
          title: "DoIt",
          type: "object",
          description: "Do it.",
          properties: {
            title: { title: "Title", anyOf: [{ type: "string" }, { type: "null" }], default: null },
            filter: { $ref: "#/components/schemas/Filter" },
          },
        },
        Filter: { title: "Filter", type: "object", properties: { n: { type: "integer" } } },
      },
    },
  });
  expect(tool).toMatchObject({ name: "codechef_do_it", tags: ["codechef", "changes"] });
  expect(tool?.inputSchema).toEqual({
    type: "object",
    properties: {
      title: { type: "string" },
      filter: { type: "object", properties: { n: { type: "integer" } } },
    },
  });
});
