import { answered } from "@codechef/client";
import { beforeAll, expect, test } from "vitest";

import { done } from "../../../../tests/rig/deeds.js";
import { openEditor } from "../rig/editor.js";
import { Ground } from "../../../../tests/rig/ground.js";
import { CATEGORY, confirm, openSideBar } from "../rig/people.js";
import type { Workbench } from "../rig/workbench.js";

const AGENT = "feature_dev";

let ground: Ground;
let workbench: Workbench;
beforeAll(async () => {
  ground = await Ground.make();
  await ground.serve();
  await done(ground, "build_dataset", { agent: AGENT, source: ground.ready.examples });
  workbench = await openEditor(ground, "grace");
});

test("a training goes from the palette, priced and confirmed, to a version in the tree", async () => {
  await openSideBar(workbench);
  await workbench.command(`${CATEGORY}: Train Agent Model`);
  await workbench.pick(AGENT);
  await workbench.pick("train"); // the data set, by its counts
  await workbench.page.getByPlaceholder("How thoroughly?").waitFor();
  await workbench.picture("train-prices");
  await workbench.pick("demo");
  await confirm(workbench, AGENT, "Train");
  await workbench.treeRow(`training of ${AGENT}`).waitFor();
  await workbench.notification("code/chef: ").waitFor();
  await workbench.picture("train-progress");
  await workbench.notification("completed").waitFor({ timeout: 180_000 });
  await workbench.treeRow(`training of ${AGENT}`, "completed").waitFor();

  const at = { params: { path: { agent: AGENT } } };
  const { history } = await answered(ground.as("victor").GET("/registry/{agent}", at));
  const version = history[0]?.version;
  expect(version).toBeDefined();
  await workbench.treeRow(AGENT).locator(".monaco-tl-twistie").click();
  await workbench.treeRow("Versions").locator(".monaco-tl-twistie").click();
  await workbench.treeRow(version ?? "", "not evaluated").waitFor();
  await workbench.picture("train-done");
});
