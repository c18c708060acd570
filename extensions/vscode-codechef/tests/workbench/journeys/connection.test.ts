import { beforeAll, test } from "vitest";

import { openEditor } from "../rig/editor.js";
import { Ground } from "../../../../tests/rig/ground.js";
import { CATEGORY, signIn } from "../rig/people.js";
import type { Workbench } from "../rig/workbench.js";

let ground: Ground;
let workbench: Workbench;
beforeAll(async () => {
  ground = await Ground.make();
  workbench = await openEditor(ground);
});

test("a server that is down is said to be, with its address and what to do", async () => {
  await workbench.command(`${CATEGORY}: Connect to Server`);
  await workbench.notification(`No server answers at ${ground.url}`).waitFor();
  await workbench.picture("server-down");
});

test("a wrong token is refused, and asked for again", async () => {
  await ground.serve();
  await workbench.command(`${CATEGORY}: Sign In`);
  await workbench.type("not-a-token");
  await workbench.page.getByText("This access token is nobody's").first().waitFor();
  await workbench.picture("wrong-token");
  await workbench.page.keyboard.press("Escape");
  await signIn(workbench, ground, "grace");
  await workbench.picture("signed-in");
});

test("a server that is killed is missed after a while, and found again when it is back", async () => {
  const connected = workbench.page.locator(".statusbar .codicon-beaker");
  await connected.waitFor();
  await ground.interrupt("SIGKILL");
  await workbench.notification(`No server answers at ${ground.url}`).waitFor({ timeout: 60_000 });
  await connected.waitFor({ state: "detached" });
  await workbench.picture("server-gone");
  await ground.serve();
  await connected.waitFor();
});
