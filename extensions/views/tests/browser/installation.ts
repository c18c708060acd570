/** The page, built, and a real API with a history to look at: once for all tests in a browser. */

import { execFileSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { TestProject } from "vitest/node";

import { REPOSITORY, takesPictures } from "../../../tests/rig/paths.js";
import { type Installation, startPictured } from "../../../tests/rig/pictured.js";

const VIEWS = fileURLToPath(new URL("../../", import.meta.url));

declare module "vitest" {
  export interface ProvidedContext {
    installation: Installation;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  buildPage();
  const { installation, stop } = await startPictured({ neutral: takesPictures() });
  project.provide("installation", installation);
  return stop;
}

/** Builds the page where the API looks for it, as `make page` does. */
export function buildPage(): void {
  execFileSync(process.execPath, ["build.mjs"], { cwd: VIEWS });
  const files = join(REPOSITORY, "agent_orchestrator/api/page_files");
  rmSync(files, { recursive: true, force: true });
  cpSync(join(VIEWS, "dist"), files, { recursive: true });
}
