import type { Ground } from "../../../../tests/rig/ground.js";
import { packedAssistant } from "./assistant.js";
import { type Person, signIn } from "./people.js";
import { builtVsix } from "./vsix.js";
import { Workbench } from "./workbench.js";

/**
 * Opens an editor with the built extension on an installation; who is named is signed in.
 *
 * @param assistant Whether another extension is there whose chat can call tools.
 */
export async function openEditor(
  ground: Ground,
  person?: Person,
  { assistant = false } = {},
): Promise<Workbench> {
  const settings = { "codechef.apiUrl": ground.url };
  const vsixes = [builtVsix(), ...(assistant ? [await packedAssistant()] : [])];
  const workbench = await Workbench.open({ vsixes, settings });
  await workbench.load();
  if (person !== undefined) await signIn(workbench, ground, person);
  return workbench;
}
