import { mkdtempSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Me } from "@codechef/client";

import { atEnd } from "./endings.js";
import { startDouble } from "./processes.js";

/** What `tests.doubles.pictured_state` says of itself. */
export interface Installation {
  url: string;
  tokens: Record<Me["role"], string>;
  rollout_id: string;
  rolled_back_id: string;
  challengers_id: string;
  ensemble_id: string;
  shadow_id: string;
  trained_id: string;
  running_id: string;
  failed_id: string;
  evaluation_id: string;
  conversion_id: string;
  approvals: string[];
}

/** An installation with a history, and its API. */
export interface Pictured {
  installation: Installation;
  stop: () => Promise<void>;
}

/**
 * Starts an installation in a folder of its own, which goes when it stops: with the tests of the
 * file that started it, or before.
 *
 * @param neutral In a folder whose name says nothing, for pictures that show it. One at a time.
 */
export async function startPictured({ neutral = false } = {}): Promise<Pictured> {
  const folder = neutral
    ? join(tmpdir(), "code-chef")
    : mkdtempSync(join(tmpdir(), "codechef-pictured-"));
  rmSync(folder, { recursive: true, force: true }); // of a run that was cut off
  atEnd(() => rm(folder, { recursive: true, force: true }));
  const { program, ready } = await startDouble("pictured_state", folder);
  const { child } = program;
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM"); // itself alone: it ends what it started
    await exited;
    rmSync(folder, { recursive: true, force: true });
  };
  atEnd(stop);
  return { installation: ready as Installation, stop };
}
