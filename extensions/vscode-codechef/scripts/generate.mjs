/** Writes what is made from the API's OpenAPI document, which comes on standard input. */

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

import { format } from "prettier";

import { choicesOf } from "./choices.mjs";
import { toolsOf } from "./tools.mjs";

const document = await text(process.stdin);

const schema = fileURLToPath(new URL("../../client/src/schema.ts", import.meta.url));
const flags = ["--root-types", "--root-types-no-schema-prefix", "--default-non-nullable=false"];
execFileSync("openapi-typescript", [...flags, "--output", schema], { input: document });

const parsed = JSON.parse(document);
const choices = fileURLToPath(new URL("../../client/src/choices.ts", import.meta.url));
writeFileSync(choices, await format(choicesOf(parsed), { parser: "typescript", printWidth: 100 }));

const manifest = fileURLToPath(new URL("../package.json", import.meta.url));
const contents = JSON.parse(readFileSync(manifest, "utf8"));
contents.contributes.languageModelTools = toolsOf(parsed);
writeFileSync(manifest, await format(JSON.stringify(contents), { parser: "json-stringify" }));
