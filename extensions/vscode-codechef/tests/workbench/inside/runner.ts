/** As much of a test runner as tests inside the extension host need. */

declare const GIVEN: Record<string, string>;

/** What the outside tells the tests. */
export const given: Record<string, string> = GIVEN;

const PATIENCE_MS = 60_000;

const tests: [name: string, body: () => Promise<void> | void][] = [];

/** Declares a test; its name is one sentence. */
export function test(name: string, body: () => Promise<void> | void): void {
  tests.push([name, body]);
}

/** Looks until there is something to see; what the editor draws or hears of comes when it comes. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + PATIENCE_MS; ;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`Waited ${PATIENCE_MS} ms for ${what}.`);
    await new Promise((done) => setTimeout(done, 200));
  }
}

/** Called by the extension host. */
export async function run(): Promise<void> {
  for (const [name, body] of tests) {
    let error: string | undefined;
    try {
      await body();
    } catch (thrown) {
      error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    }
    // The page hears the console of the extension host.
    // eslint-disable-next-line no-console
    console.log(`codechef-test ${JSON.stringify({ name, error })}`);
  }
}
