import { readdirSync } from "node:fs";

import { EXTENSION } from "./paths.js";

/** The built extension. Throws when there is none, or more than one. */
export function builtVsix(): string {
  const found = readdirSync(`${EXTENSION}dist`).filter((name) => name.endsWith(".vsix"));
  const [only, ...more] = found;
  if (only === undefined || more.length > 0) {
    throw new Error(`dist has ${found.length} .vsix files: run \`make extension\`.`);
  }
  return `${EXTENSION}dist/${only}`;
}
