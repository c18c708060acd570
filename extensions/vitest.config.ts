import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

const FAKE_EDITOR = fileURLToPath(
  new URL("vscode-codechef/tests/fakes/vscode.ts", import.meta.url),
);

/** Of a test, and of what it waits for: longer than they take on the busiest machine. */
const PATIENCE = {
  testTimeout: 120_000,
  hookTimeout: 120_000,
  expect: { poll: { timeout: 30_000 } },
};

export default defineConfig({
  test: {
    projects: [
      { test: { ...PATIENCE, name: "rig", root: "tests", include: ["unit/**/*.test.ts"] } },
      { test: { ...PATIENCE, name: "client", root: "client", include: ["tests/**/*.test.ts"] } },
      {
        oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
        test: {
          ...PATIENCE,
          name: "views",
          root: "views",
          include: ["tests/unit/**/*.test.{ts,tsx}"],
          environment: "happy-dom",
          setupFiles: ["tests/unit/patience.ts"],
        },
      },
      {
        // The editor's API exists inside the editor only; unit tests get the hand-written one.
        resolve: { alias: { vscode: FAKE_EDITOR } },
        test: {
          ...PATIENCE,
          name: "vscode",
          root: "vscode-codechef",
          include: ["tests/unit/**/*.test.ts"],
        },
      },
    ],
  },
});
