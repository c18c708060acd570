/** Finds `chef`, runs it without a shell, and hears what it says. */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

const WINDOWS = process.platform === "win32";
const NAMES = WINDOWS ? ["chef.exe"] : ["chef"];
const SCRIPTS = WINDOWS ? "Scripts" : "bin";

/** Where `chef` was looked for, and where it is. */
export interface Found {
  command: string | undefined;
  looked: string[];
}

/**
 * Finds the program: the one that the settings name, else that of the folder's environment, else
 * one of the `PATH`. A path that the settings name is not replaced by another.
 */
export async function find(setting: string, folder: string): Promise<Found> {
  const named = setting.trim();
  const places =
    named === ""
      ? [path.join(folder, ".venv", SCRIPTS), ...(process.env["PATH"] ?? "").split(path.delimiter)]
      : [];
  const looked = named === "" ? [] : [path.resolve(folder, named)];
  for (const place of places.filter(Boolean)) {
    looked.push(...NAMES.map((name) => path.join(place, name)));
  }
  for (const command of looked) if (await isProgram(command)) return { command, looked };
  return { command: undefined, looked };
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return true;
  } catch {
    return false; // not there, or not ours to run
  }
}

/** Runs `chef` to its end; returns the one JSON document that it prints. Throws an Error: its words. */
export async function documentOf(command: string, given: string[], cwd: string): Promise<unknown> {
  try {
    const { stdout } = await promisify(execFile)(command, [...given, "--json"], { cwd });
    return JSON.parse(stdout) as unknown;
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : "";
    throw said === "" ? error : new Error(said, { cause: error });
  }
}

const KEPT_LINES = 8;

/** A program that runs on, with the last lines that it said. */
export class Running {
  readonly lastLines: string[] = [];
  readonly ended: Promise<number | null>;
  private readonly child: ChildProcess;
  private exited = false;

  constructor(
    command: string,
    given: readonly string[],
    cwd: string,
    private readonly onText: (text: string) => void,
  ) {
    this.child = spawn(command, given, { cwd, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => this.hear(text));
    }
    this.ended = new Promise((resolve) => {
      this.child.on("error", (error) => this.hear(`${error.message}\n`));
      this.child.on("close", (code) => {
        this.exited = true;
        resolve(code);
      });
    });
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  get hasEnded(): boolean {
    return this.exited;
  }

  /** Asks it to end; ends it when it has not after so long. */
  async stop(patienceMs: number): Promise<void> {
    if (this.exited) return;
    this.child.kill("SIGTERM");
    const timer = setTimeout(() => this.child.kill("SIGKILL"), patienceMs);
    await this.ended;
    clearTimeout(timer);
  }

  private hear(text: string): void {
    this.onText(text);
    this.lastLines.push(...text.split(/\r?\n/).filter((line) => line.trim() !== ""));
    this.lastLines.splice(0, this.lastLines.length - KEPT_LINES);
  }
}
