import { answered } from "@codechef/client";
import { beforeAll, expect, test } from "vitest";

import { done } from "../../../../tests/rig/deeds.js";
import { openEditor } from "../rig/editor.js";
import { Ground } from "../../../../tests/rig/ground.js";
import { openSideBar } from "../rig/people.js";
import type { Workbench } from "../rig/workbench.js";

const agent = "feature_dev";

let ground: Ground;
let workbench: Workbench;
beforeAll(async () => {
  ground = await Ground.make();
  await ground.serve();
  workbench = await openEditor(ground, "victor");
});

test("a canary is watched in its view until it is rolled back by itself", async () => {
  await openSideBar(workbench);
  await done(ground, "deploy_model_to_agent", {
    agent,
    model: ground.ready.bad_model,
    strategy: "canary",
    override_reason: "To see it rolled back.",
  });
  const row = workbench.treeRow(`${agent}: canary`);
  await row.waitFor();
  await row.click();
  const view = workbench.webview();
  await view.getByText("stable").first().waitFor();
  await workbench.picture("canary-running");

  const statuses: number[] = [];
  for (let number = 0; ; number += 1) {
    statuses.push(await ground.work(number));
    const { rollouts } = await answered(ground.as("victor").GET("/rollouts"));
    if (rollouts[0]?.phase === "rolled_back") break;
    expect(number).toBeLessThan(2000);
  }
  expect(new Set(statuses)).toEqual(new Set([200])); // whoever met the candidate was served too
  await workbench.treeRow(`${agent}: canary`, "rolled back").waitFor();
  await view.getByText("rolled back").first().waitFor();
  await workbench.picture("canary-rolled-back");
});
