import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { createWriteStream, mkdirSync } from "node:fs";
import { createInterface } from "node:readline";

import { atEnd } from "./endings.js";
import { ARTEFACTS, PYTHON, REPOSITORY } from "./paths.js";

/** A process with a group of its own, so that nothing that it started outlives it or the tests. */
export class Running {
  private stopping: Promise<void> | undefined;

  private constructor(readonly child: ChildProcess) {}

  /** Starts a program, which ends with the tests; what it prints goes to a log among the artefacts. */
  static start(name: string, program: string, args: string[], options: SpawnOptions = {}): Running {
    mkdirSync(ARTEFACTS, { recursive: true });
    const log = createWriteStream(`${ARTEFACTS}/${name}.log`, { flags: "a" });
    const child = spawn(program, args, {
      stdio: ["pipe", "pipe", "pipe"],
      ...options,
      detached: true,
    });
    child.stdout?.pipe(log);
    child.stderr?.pipe(log);
    const running = new Running(child);
    atEnd(() => running.stop());
    return running;
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Ends the whole group: asked first, or at once. */
  stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    // Once: later the number of the group may be another's.
    this.stopping ??= this.end(signal);
    return this.stopping;
  }

  private async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (!this.ended) {
      const gone = new Promise<void>((resolve) => this.child.once("exit", () => resolve()));
      this.kill(signal);
      const timer = setTimeout(() => this.kill("SIGKILL"), 20_000);
      await gone;
      clearTimeout(timer);
    }
    this.kill("SIGKILL"); // what it has left behind
  }

  private kill(signal: NodeJS.Signals): void {
    if (this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // nothing is left
    }
  }
}

/** Starts a program of `support/tests/doubles`; returns it with the line of JSON that says it is ready. */
export async function startDouble(
  name: string,
  ...args: string[]
): Promise<{ program: Running; ready: unknown }> {
  const program = Running.start(name, PYTHON, ["-m", `tests.doubles.${name}`, ...args], {
    cwd: REPOSITORY,
    env: { ...process.env, PYTHONPATH: "support" },
  });
  const { stdout } = program.child;
  if (stdout === null) throw new Error("The program has no output.");
  for await (const line of createInterface({ input: stdout })) {
    return { program, ready: JSON.parse(line) };
  }
  throw new Error(`${name} ended before it was ready: see ${name}.log.`);
}

/** Whether something answers there with success. */
export async function answers(url: string): Promise<true | undefined> {
  try {
    return (await fetch(url)).ok || undefined;
  } catch {
    return undefined;
  }
}
