import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { CHEF, CHROMIUM, REPOSITORY } from "../../../../tests/rig/paths.js";

export const EXTENSION = fileURLToPath(new URL("../../../", import.meta.url));
const WORKBENCH = process.env["CODECHEF_WORKBENCH"] ?? `${REPOSITORY}.workbench`;
export const CODE_SERVER = `${WORKBENCH}/node_modules/code-server/out/node/entry.js`;
export const WORKBENCH_NODE = `${WORKBENCH}/node_modules/node/bin/node`;

/** Throws when something that the workbench needs is not installed. */
export function checkInstalled(): void {
  for (const file of [CODE_SERVER, WORKBENCH_NODE, CHROMIUM, CHEF]) {
    if (!existsSync(file)) {
      throw new Error(`There is no ${file}: run \`make setup-workbench setup setup-trainer\`.`);
    }
  }
}
