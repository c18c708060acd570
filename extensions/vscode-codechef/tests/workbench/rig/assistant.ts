/** Another extension, in whose chat a language model may call our tools. */

import { execFile } from "node:child_process";
import { copyFile } from "node:fs/promises";
import { promisify } from "node:util";

import { build } from "esbuild";

import { EXTENSION } from "./paths.js";

/** Packs it; returns the .vsix. */
export async function packedAssistant(): Promise<string> {
  const from = `${EXTENSION}tests/workbench/assistant/`;
  const folder = `${EXTENSION}dist/assistant`;
  await build({
    entryPoints: [`${from}extension.ts`],
    outfile: `${folder}/extension.js`,
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    external: ["vscode"],
  });
  await copyFile(`${from}package.json`, `${folder}/package.json`);
  const vsix = `${folder}/assistant.vsix`;
  const without = ["--no-dependencies", "--skip-license", "--allow-missing-repository"];
  await promisify(execFile)("vsce", ["package", ...without, "--out", vsix], { cwd: folder });
  return vsix;
}
