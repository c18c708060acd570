/** Pictures of the editor for the documentation: taken when asked for, of an installation with a history. */

import { afterEach, beforeAll, describe, test } from "vitest";

import { takesPictures } from "../../../tests/rig/paths.js";
import { type Pictured, startPictured } from "../../../tests/rig/pictured.js";
import { EXTENSION } from "./rig/paths.js";
import { CATEGORY, openSideBar } from "./rig/people.js";
import { builtVsix } from "./rig/vsix.js";
import { Workbench } from "./rig/workbench.js";

describe.skipIf(!takesPictures())("pictures", () => {
  let pictured: Pictured;
  let workbench: Workbench;
  beforeAll(async () => {
    pictured = await startPictured({ neutral: true });
    const { url, tokens } = pictured.installation;
    const settings = { "codechef.apiUrl": url };
    workbench = await Workbench.open({ vsixes: [builtVsix()], settings });
    await workbench.page.setViewportSize({ width: 1180, height: 740 });
    await workbench.load();
    await workbench.command(`${CATEGORY}: Sign In`);
    await workbench.type(tokens.admin);
    await workbench.notification(`Signed in to ${url} as ada`).waitFor();
    await openSideBar(workbench);
  });

  afterEach(async ({ task }) => {
    if (task.result?.state === "fail") await workbench.picture("pictures-failed");
  });

  async function take(name: string): Promise<void> {
    await workbench.page.mouse.move(600, 8); // over nothing that would say what it is
    await workbench.page.screenshot({ path: `${EXTENSION}media/pictures/${name}.png` });
  }

  test("a rollout beside the trees", async () => {
    await workbench.command("Notifications: Clear All Notifications");
    const agent = workbench.treeRow("v1.0.0 · acme/feature_dev");
    await agent.locator(".monaco-tl-twistie").click();
    await workbench.treeRow("feature_dev: canary").click();
    await workbench.webview().locator(".plot canvas").last().waitFor();
    await take("rollout");
  });

  test("a comparison of two models", async () => {
    await workbench.treeRow("evaluation of code_review").click();
    await workbench.webview().locator(".example").first().waitFor();
    await take("comparison");
  });

  test("a training's progress over its loss", async () => {
    await workbench.command("Preferences: Color Theme");
    await workbench.pick("Dark Modern");
    await workbench.command(`${CATEGORY}: Monitor Training Job`);
    await workbench.pick("documentation");
    await workbench.webview().locator(".plot canvas").waitFor();
    await workbench.notification(/loss [\d.]+/).waitFor();
    await take("training");
  });

  test("an approval in the chat", async () => {
    await workbench.command("Notifications: Clear All Notifications");
    await workbench.treeRow("feature_dev: canary").click();
    await workbench.webview().locator(".plot canvas").last().waitFor();
    await workbench.chat("@chef roll feature_dev back");
    await workbench.said(/Needs an approval/);
    await take("chat");
  });

  test("a walkthrough to begin with", async () => {
    await workbench.page.setViewportSize({ width: 1900, height: 900 }); // room for its pictures
    await workbench.command("Welcome: Open Walkthrough...");
    await workbench.pick("Begin with code/chef ModelOps");
    await workbench.page.getByText("Let it try a part of the traffic").first().click();
    await workbench.page.locator(".getting-started-media img").waitFor();
    await workbench.picture("walkthrough");
  });
});
