/** Values of the server's as text that a person may change, and back. */

export function written(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Text stays text where text was; the server says what it does not take. */
export function read(text: string, before: unknown): unknown {
  if (text === "") return null;
  if (typeof before === "string") return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

/** What stands in the fields of a form, by their names; what is empty is left to the server. */
export type Given = Partial<Record<string, string>>;

/** What was given, read as the values that stand there otherwise are; what is empty is left out. */
export function readAll(
  given: Readonly<Given>,
  otherwise: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const filled = Object.entries(given).flatMap(([name, text]) => {
    const meant = text?.trim() ?? "";
    return meant === "" ? [] : [[name, read(meant, otherwise[name])] as const];
  });
  return Object.fromEntries(filled);
}
