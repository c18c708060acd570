/** One script and one style sheet, for the browser's page and for the editor's webviews. */
import { build } from "esbuild";

const result = await build({
  entryPoints: { views: "src/main.tsx" },
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  metafile: true,
  legalComments: "linked",
  logLevel: "warning",
});
for (const [file, { bytes }] of Object.entries(result.metafile.outputs)) {
  console.log(`${file}: ${Math.ceil(bytes / 1024)} kB`);
}
