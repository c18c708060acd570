import assert from "node:assert/strict";

import * as vscode from "vscode";

import { test } from "./runner.js";

test("the extension is there and becomes active", async () => {
  const extension = vscode.extensions.getExtension("codechef.vscode-codechef");
  assert.ok(extension);
  await extension.activate();
  assert.ok(extension.isActive);
});
