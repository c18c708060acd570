import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

/** Tests in a real workbench: minutes, one after another. */
export default defineConfig({
  test: {
    name: "workbench",
    root: "vscode-codechef",
    setupFiles: [fileURLToPath(new URL("tests/rig/ends_all.ts", import.meta.url))],
    include: ["tests/workbench/**/*.test.ts"],
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
  },
});
