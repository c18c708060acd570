/** What went wrong, told to the person with the button that mends it. */

import { ChefProblem } from "@codechef/client";
import * as vscode from "vscode";

import { plain } from "./text.js";

/** What can be done about a problem, told apart by its kind. */
export type ProblemKind = "down" | "unsigned" | "foreign" | "other";

const FOREIGN = "urn:code-chef:problem:not-an-api";

/** Returns that whatever answers at an address is no API of code/chef. */
export function foreign(url: string, status: number): ChefProblem {
  return new ChefProblem(
    `What answers at ${url} is not a code/chef API.`,
    status,
    FOREIGN,
    "Correct the address; `chef serve` prints it.",
  );
}

/** Whether a text is an address that can be asked. */
export function isAddress(text: string): boolean {
  return URL.canParse(text.trim()) && /^https?:$/.test(new URL(text.trim()).protocol);
}

/** Returns that a setting holds what is no address. */
export function noAddress(setting: string, value: string, example: string): ChefProblem {
  return new ChefProblem(
    `${setting} is ${JSON.stringify(value)}, which is not an address.`,
    400,
    FOREIGN,
    `Write one like ${example}.`,
  );
}

export function kindOf(problem: ChefProblem): ProblemKind {
  if (problem.type === FOREIGN) return "foreign";
  if (problem.status === 401) return "unsigned";
  const silent = problem.status === 0 || problem.type === "about:blank";
  return silent && problem.passing ? "down" : "other";
}

interface Mend {
  title: string;
  command: string;
}

const MENDS: Readonly<Record<ProblemKind, readonly Mend[]>> = {
  down: [
    { title: "Start Local Server", command: "codechef.startLocalServer" },
    { title: "Set Address", command: "codechef.setAddress" },
  ],
  unsigned: [{ title: "Sign In", command: "codechef.signIn" }],
  foreign: [{ title: "Set Address", command: "codechef.setAddress" }],
  other: [],
};

/** One line for a person: what is wrong, and what to do. */
export function told(problem: ChefProblem): string {
  return plain([problem.message, problem.remedy].filter(Boolean).join(" "));
}

/**
 * Shows a problem; does what the person picks to mend it.
 *
 * One that comes from two sides at once, or again, the editor shows once, in its newest place.
 */
export async function show(problem: ChefProblem): Promise<void> {
  const mends = MENDS[kindOf(problem)];
  const titles = mends.map(({ title }) => title);
  const picked = await vscode.window.showErrorMessage(told(problem), ...titles);
  const mend = mends.find(({ title }) => title === picked);
  if (mend) await vscode.commands.executeCommand(mend.command);
}

/** Returns the commands that mend a problem, each with its title. */
export function mendsOf(problem: ChefProblem): readonly Mend[] {
  return MENDS[kindOf(problem)];
}
