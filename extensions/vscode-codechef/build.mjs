/** The extension in one file, the shared views beside it; what the editor brings stays outside. */
import { cp, mkdir } from "node:fs/promises";

import { build } from "esbuild";

await build({
  entryPoints: ["src/extension.ts"],
  outfile: "dist/extension.js",
  bundle: true,
  minify: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  external: ["vscode"],
  logLevel: "warning",
});

// Built before: `npm run build --workspace @codechef/views`, which `make extension` does.
await mkdir("dist/views", { recursive: true });
for (const file of ["views.js", "views.css"])
  await cp(`../views/dist/${file}`, `dist/views/${file}`);
