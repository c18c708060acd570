import assert from "node:assert/strict";

import * as vscode from "vscode";

import { until } from "../../../../tests/rig/until.js";
import { test } from "./runner.js";

const run = <T>(name: string, given?: object): Thenable<T> =>
  vscode.commands.executeCommand<T>(`codechef.${name}`, given);

test("every command that is declared can be run", async () => {
  const extension = vscode.extensions.getExtension("codechef.vscode-codechef");
  const { contributes } = extension?.packageJSON as {
    contributes: { commands: { command: string }[] };
  };
  const there = new Set(await vscode.commands.getCommands(true));
  const missing = contributes.commands.filter(({ command }) => !there.has(command));
  assert.deepEqual(missing, []);
});

test("a command that is given what it needs asks for nothing and returns what it found", async () => {
  assert.ok(Array.isArray(await run("listAgentModels", { agent: "feature_dev" })));
  const rates = { stable_rate: 0.9, candidate_rate: 0.3, runs: 20 };
  const { rollback_rate: rate } = await run<{ rollback_rate: number }>("simulateCanary", rates);
  assert.ok(rate > 0.9, String(rate));
});

test("a view opens once in a tab of its own", async () => {
  const ours = (): string[] =>
    vscode.window.tabGroups.all
      .flatMap((group) => group.tabs.map(({ label }) => label))
      .filter((label) => /^(Overview|Registry)/.test(label));
  await run("openDashboard");
  await run("openDashboard");
  await run("openView", { view: "registry", params: { agent: "feature_dev" } });
  // The tabs are drawn in the page, which tells of them when it has.
  await until("two tabs", () => Promise.resolve(ours().length < 2 ? undefined : true));
  assert.deepEqual(ours(), ["Overview", "Registry feature_dev"]);
});
