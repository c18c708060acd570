import { fileURLToPath } from "node:url";

const from = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

export const REPOSITORY = from("../../../");
export const PYTHON = `${REPOSITORY}.venv/bin/python`;
export const CHEF = `${REPOSITORY}.venv/bin/chef`;
export const CHROMIUM = process.env["CODECHEF_CHROMIUM"] ?? "/usr/bin/chromium";
/** Where journeys leave their pictures and logs. */
export const ARTEFACTS = process.env["CODECHEF_ARTEFACTS"] ?? from("../../dist/journeys");

/** Whether pictures for the documentation are asked for. */
export function takesPictures(): boolean {
  return process.env["CODECHEF_PICTURES"] === "1";
}
