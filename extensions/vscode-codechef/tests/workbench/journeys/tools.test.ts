import { answered } from "@codechef/client";
import type { Locator } from "playwright-core";
import { afterEach, beforeAll, expect, test } from "vitest";

import { Ground } from "../../../../tests/rig/ground.js";
import { openEditor } from "../rig/editor.js";
import { CATEGORY } from "../rig/people.js";
import type { Workbench } from "../rig/workbench.js";

let ground: Ground;
let workbench: Workbench;
beforeAll(async () => {
  ground = await Ground.make();
  await ground.serve();
  workbench = await openEditor(ground, "ada", { assistant: true });
  await workbench.command(`${CATEGORY}: Set Gateway Key`);
  await workbench.type(ground.ready.gateway_token);
});
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") await workbench.picture("tool-failed");
});

/** How many data sets the server has. */
async function datasets(): Promise<number> {
  const call = ground.as("ada").POST("/modelops/list_datasets", { body: {} });
  return (await answered(call)).datasets.length;
}

/** Has the model of another extension's chat call a tool that changes something. */
async function offered(button: RegExp): Promise<Locator> {
  await workbench.chat(`@assistant ${ground.ready.calls.build_dataset}.`);
  const found = workbench.page.getByRole("button", { name: button }).filter({ visible: true });
  await found.first().waitFor();
  return found.first();
}

test("a model's call that changes something is shown to a person, who skips it: nothing changes", async () => {
  const skip = await offered(/^Skip/);
  await workbench.picture("tool-confirmation");
  expect(await datasets()).toBe(0);
  await skip.click();
  await workbench.said("The tool answered:"); // that it was not called
  await workbench.picture("tool-skipped");
  expect(await datasets()).toBe(0);
});

test("a call that a person allows is made, and the model reads its result", async () => {
  await (await offered(/^Allow/)).click();
  await expect.poll(datasets).toBe(1);
  await workbench.said(/The tool answered: .*feature_dev/);
  await workbench.picture("tool-allowed");
});
