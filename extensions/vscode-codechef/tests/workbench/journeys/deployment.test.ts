import { beforeAll, test } from "vitest";

import { completed, done } from "../../../../tests/rig/deeds.js";
import { openEditor } from "../rig/editor.js";
import { Ground } from "../../../../tests/rig/ground.js";
import { CATEGORY, confirm, openSideBar } from "../rig/people.js";
import type { Workbench } from "../rig/workbench.js";

const agent = "feature_dev";

let ground: Ground;
let workbench: Workbench;
beforeAll(async () => {
  ground = await Ground.make();
  await ground.serve();
  await done(ground, "build_dataset", { agent, source: ground.ready.examples });
  const overrides = { num_epochs: 60, batch_size: 8, learning_rate: 0.005 };
  const started = await done(ground, "train_subagent_model", { agent, mode: "demo", overrides });
  await completed(ground, (started as { job_id: string }).job_id);
  workbench = await openEditor(ground, "grace");
});

test("a version is evaluated, compared and deployed to a part of the traffic from the view", async () => {
  await openSideBar(workbench);
  await workbench.command(`${CATEGORY}: Evaluate Agent Model`);
  await workbench.pick(agent);
  await workbench.pick("v1.0.0");
  await workbench.pick("What serves now");
  await confirm(workbench, "v1.0.0", "Evaluate");
  const compare = workbench.notification("completed").getByRole("button", { name: "Compare" });
  await compare.click({ timeout: 180_000 });

  const view = workbench.webview();
  await view.getByText("accuracy").first().waitFor();
  await workbench.picture("comparison");
  await view.getByRole("button", { name: "Deploy v1.0.0" }).click();
  await view.getByRole("combobox", { name: "Strategy" }).selectOption("canary");
  await view.getByRole("button", { name: "Ask for approval" }).click();
  await view.getByRole("link", { name: "Open the approval" }).click();
  await view.getByRole("button", { name: "Approve" }).click();
  await workbench.picture("approval");
  await view.getByRole("button", { name: "Carry it out" }).click();
  await workbench.treeRow(`${agent}: canary`, "running").waitFor();
  await workbench.picture("deployed");
});
