import assert from "node:assert/strict";

import * as vscode from "vscode";

import { given, test } from "./runner.js";

async function invoked(name: string, input: object): Promise<Record<string, unknown>> {
  const options = { input, toolInvocationToken: undefined };
  const { content } = await vscode.lm.invokeTool(`codechef_${name}`, options);
  const [part] = content;
  assert.ok(part instanceof vscode.LanguageModelTextPart);
  return JSON.parse(part.value) as Record<string, unknown>;
}

test("language models find every use case among their tools", () => {
  const names = vscode.lm.tools.map(({ name }) => name);
  for (const name of ["list_agent_models", "train_subagent_model", "carry_out_approved"]) {
    assert.ok(names.includes(`codechef_${name}`), name);
  }
});

test("a tool that looks something up asks nobody", async () => {
  const { agent, versions } = await invoked("list_agent_models", { agent: "feature_dev" });
  assert.equal(agent, "feature_dev");
  assert.ok(Array.isArray(versions));
});

test("a tool tells what is wrong, with the remedy", async () => {
  const { error, remedy } = await invoked("list_agent_models", { agent: "nobody" });
  assert.match(String(error), /nobody/);
  assert.notEqual(remedy, "");
});

// In tests the editor takes its dialogs for answered with yes; `journeys/tools.test.ts` sees them.
test("a tool that changes something does so after the plan of it was made", async () => {
  const source = given["examples"] ?? "";
  const { agent, dataset } = await invoked("build_dataset", { agent: "feature_dev", source });
  assert.equal(agent, "feature_dev");
  assert.ok(dataset);
});
