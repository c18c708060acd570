import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

/** Tests of the page in a real browser, served by a real API: a minute, one file after another. */
export default defineConfig({
  test: {
    name: "browser",
    root: "views",
    include: ["tests/browser/**/*.test.ts"],
    setupFiles: [fileURLToPath(new URL("tests/rig/ends_all.ts", import.meta.url))],
    globalSetup: ["tests/browser/installation.ts"],
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 30_000 } },
  },
});
