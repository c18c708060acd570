/** Has the person at the editor, whom the page plays, type into the box that stands open. */
export function types(text: string): void {
  // The page hears the console of the extension host.
  // eslint-disable-next-line no-console
  console.log(`codechef-types ${JSON.stringify({ text })}`);
}
