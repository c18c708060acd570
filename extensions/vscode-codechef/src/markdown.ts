/** What others wrote, as Markdown that shows exactly their characters. */

/** Characters that reorder the text around them: a name must not change how a sentence reads. */
const REORDERING = /[\u202a-\u202e\u2066-\u2069]/g;
const PUNCTUATION = /[!-/:-@[-`{-~]/g;

/**
 * Returns Markdown of one line that shows the text, and nothing else.
 *
 * Every punctuation character may be escaped (CommonMark 2.4); so no name becomes a link, an
 * image, an element or a heading.
 */
export function escaped(text: string): string {
  return oneLine(text).replace(PUNCTUATION, "\\$&");
}

/** Returns Markdown of one line that shows at most `most` characters of the text. */
export function brief(text: string, most = 200): string {
  const line = oneLine(text);
  return escaped(line.length > most ? `${line.slice(0, most - 1)}…` : line);
}

/** Returns the text on one line, in the order in which it is written. */
export function oneLine(text: string): string {
  return text
    .replace(REORDERING, "\ufffd")
    .replace(/[\s\p{Cc}]+/gu, " ")
    .trim();
}

/** Returns Markdown that shows the text as code, with its lines. */
export function fenced(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(Math.max(3, longest + 1));
  return `${fence}\n${text.replace(REORDERING, "\ufffd")}\n${fence}`;
}
