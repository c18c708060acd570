/** As much of a test runner as tests inside the extension host need. */

declare const GIVEN: Record<string, string>;

/** What the outside tells the tests. */
export const given: Record<string, string> = GIVEN;

const tests: [name: string, body: () => Promise<void> | void][] = [];

/** Declares a test; its name is one sentence. */
export function test(name: string, body: () => Promise<void> | void): void {
  tests.push([name, body]);
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
