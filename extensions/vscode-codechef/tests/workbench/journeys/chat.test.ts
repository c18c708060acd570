import { readFile } from "node:fs/promises";

import { answered } from "@codechef/client";
import type { Locator } from "playwright-core";
import { afterEach, beforeAll, expect, test } from "vitest";

import { Ground } from "../../../../tests/rig/ground.js";
import { openEditor } from "../rig/editor.js";
import { confirm, openSideBar, signIn } from "../rig/people.js";
import type { Workbench } from "../rig/workbench.js";

const AGENT = "feature_dev";

let ground: Ground;
let workbench: Workbench;
beforeAll(async () => {
  ground = await Ground.make();
  await ground.serve();
  workbench = await openEditor(ground, "grace");
  await openSideBar(workbench);
});
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") await workbench.picture("chat-failed");
});

/** Approves, in its dialog, what an answer in the chat waits for. */
async function approve(said: string, picture: string): Promise<void> {
  await waiting(said).getByRole("button", { name: "Approve or Reject…" }).click();
  await workbench.dialog(said).waitFor();
  await workbench.picture(picture);
  await confirm(workbench, said, "Approve");
}

/** The answer in the chat that waits for an approval of this. */
function waiting(said: string): Locator {
  return workbench.answer(new RegExp(`Needs an approval:.*${said}`));
}

test("what is missing for a training is asked for, and built from a file", async () => {
  await workbench.chat(
    "@chef The feature_dev agent keeps missing error handling. Train it better.",
  );
  await workbench.said(`There is no data set for ${AGENT} yet.`);
  await workbench.chat(`@chef From ${ground.ready.examples}, please.`);
  await workbench.said("Shall I try a demo training");
});

test("a sentence leads over its price and an approval to a job that runs to its end", async () => {
  const { hub_base } = ground.ready;
  await workbench.chat(
    `@chef Train ${AGENT} on HF Jobs, base model ${hub_base}, ` +
      "with 60 epochs, batch size 8 and learning rate 0.005, demo",
  );
  await waiting(hub_base).waitFor();
  await workbench.said(/at most \$0\.\d\d · asked for by grace/);
  await workbench.picture("chat-approval");
  await approve(hub_base, "chat-approval-dialog");
  await workbench.said(/\(training\): /);
  await workbench.said(/step \d+ of \d+/);
  await workbench.treeRow(`training of ${AGENT}`).waitFor();
  await workbench.picture("chat-training");
  await workbench.said("registered as v1.0.0");
  await workbench.treeRow(`training of ${AGENT}`, "completed").waitFor();
  await workbench.picture("chat-trained");
});

test("a comparison recommends, and the deployment goes on once it is approved", async () => {
  await workbench.chat(`@chef evaluate v1.0.0 of ${AGENT}`);
  await workbench.said(`against acme/${AGENT}`);
  await workbench.followUp("yes");
  await workbench.said("Recommendation: deploy");
  await workbench.followUp("yes");
  await waiting("v1.0.0").waitFor();
  await approve("v1.0.0", "chat-deployment-dialog");
  await workbench.said(`v1.0.0 serves 20 % of the traffic of ${AGENT}`);
  await workbench.picture("chat-deployed");
  const { agents } = await answered(ground.as("grace").GET("/overview"));
  expect(agents.find(({ agent }) => agent === AGENT)?.rollout_id).toBeTruthy();
});

test("an agent's own call waits for a person, who approves it, and the agent goes on", async () => {
  const { calls, issues } = ground.ready;
  await workbench.chat(`@chef ${calls.open_issue}.`);
  await waiting("create_issue").waitFor();
  await workbench.picture("chat-call");
  await waiting("create_issue").getByRole("button", { name: "Show", exact: true }).click();
  await workbench.webview().getByText("What it is called with").waitFor();
  await workbench.picture("chat-call-shown");
  await approve("create_issue", "chat-call-dialog");
  await workbench.said("The tool answered: Created");
  expect(await readFile(issues, "utf8")).toBe("The build of main fails\n");
  await workbench.picture("chat-call-made");
});

test("who may not approve hears in the editor of another's answer, and goes on in the chat", async () => {
  await signIn(workbench, ground, "ada");
  await workbench.chat(`@chef promote ${AGENT} to 50 %`);
  await waiting("50 %").getByRole("button", { name: "Approve or Reject…" }).click();
  await workbench.notification("ada (operator) may not").waitFor();
  const bob = ground.as("bob");
  const [waits] = (await answered(bob.GET("/approvals"))).approvals;
  const at = { params: { path: { approval_id: waits?.id ?? "" } } };
  await answered(bob.POST("/approvals/{approval_id}/answer", { ...at, body: { approve: true } }));
  const heard = workbench.notification("Approved by bob");
  await heard.hover(); // the editor takes it away after ten seconds, but not from under the mouse
  await workbench.picture("chat-approved-elsewhere");
  await heard.getByRole("button", { name: "Go On in Chat" }).click();
  await workbench.said("candidate (v1.0.0): 50 % asked");
});

test("a name that is Markdown is shown as text in an answer", async () => {
  const name = "/nowhere/__init__.jsonl";
  await workbench.chat(`@chef build a data set for ${AGENT} from ${name}`);
  await workbench.page.locator(".interactive-response").getByText(name).last().waitFor();
});
