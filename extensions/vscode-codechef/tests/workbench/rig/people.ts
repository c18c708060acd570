import type { Ground } from "../../../../tests/rig/ground.js";
import type { Workbench } from "./workbench.js";

/** Somebody with an access token of the installation. */
export type Person = keyof Ground["ready"]["tokens"];

/** What every title of ours begins with. */
export const CATEGORY = "code/chef ModelOps";

/** Signs in as a person does: by the command, with the token typed. */
export async function signIn(workbench: Workbench, ground: Ground, person: Person): Promise<void> {
  await workbench.command(`${CATEGORY}: Sign In`);
  await workbench.type(ground.ready.tokens[person]);
  await workbench.notification(`Signed in to ${ground.url} as ${person}`).waitFor();
}

/** Opens our side bar. */
export async function openSideBar(workbench: Workbench): Promise<void> {
  await workbench.page.getByRole("tab", { name: CATEGORY }).first().click();
}

/** Says yes in the dialog that stands open. */
export async function confirm(
  workbench: Workbench,
  said: string | RegExp,
  button: string,
): Promise<void> {
  const dialog = workbench.dialog(said);
  await dialog.waitFor({ timeout: 60_000 });
  await dialog.getByRole("button", { name: button, exact: true }).click();
}
