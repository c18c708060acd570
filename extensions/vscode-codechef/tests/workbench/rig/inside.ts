/** Runs tests inside the extension host, where `vscode` is the editor's own API. */

import { build } from "esbuild";

import { EXTENSION } from "./paths.js";
import { Workbench } from "./workbench.js";

export interface InsideResult {
  name: string;
  error?: string;
}

const LONGEST_MS = 240_000;

/**
 * Runs `inside/index.ts` with the extension as it is built in its folder; returns what became of
 * each test.
 *
 * @param settings The editor's, for instance the server's address.
 * @param given What the tests read as `given`. It stands in their bundle, in a folder that goes.
 */
export async function runInside(
  settings: Record<string, unknown>,
  given: Record<string, string>,
): Promise<InsideResult[]> {
  const workbench = await Workbench.open({ settings, driver: true });
  try {
    const tests = `${workbench.folder}/.tests/index.js`;
    await bundle(tests, given);
    const results: InsideResult[] = [];
    let failed: (why: Error) => void = () => undefined;
    await workbench.page.exposeFunction("codeAutomationLog", (_kind: string, said: unknown[]) => {
      for (const line of said) {
        const [, kind, found] = /codechef-(test|types) (\{.*\})/.exec(String(line)) ?? [];
        if (kind === "test") results.push(JSON.parse(found ?? "") as InsideResult);
        if (kind === "types") {
          const { text } = JSON.parse(found ?? "") as { text: string };
          workbench.type(text).catch(failed);
        }
      }
    });
    const ended = new Promise<void>((resolve, reject) => {
      failed = reject;
      void workbench.page.exposeFunction("codeAutomationExit", () => resolve());
      setTimeout(() => reject(new Error("The tests inside the editor go on and on.")), LONGEST_MS);
    });
    const remote = `vscode-remote://${new URL(workbench.url).host}`;
    await workbench.load([
      ["extensionDevelopmentPath", `${remote}${EXTENSION.replace(/\/$/, "")}`],
      ["extensionTestsPath", `${remote}${tests}`],
    ]);
    await ended;
    return results;
  } finally {
    await workbench.picture("inside");
  }
}

async function bundle(outfile: string, given: Record<string, string>): Promise<void> {
  await build({
    entryPoints: [`${EXTENSION}tests/workbench/inside/index.ts`],
    outfile,
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    external: ["vscode"],
    define: { GIVEN: JSON.stringify(given) },
  });
}
