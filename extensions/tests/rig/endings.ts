/**
 * What a test file has begun ends with it, the last first.
 *
 * Whatever begins something of this rig says at once how it ends: so it ends also where a later
 * step of a set-up throws, or goes on after its time was over.
 */

type End = () => Promise<unknown>;

const begun: End[] = [];
let over = false;

/** Has something ended with the file; at once, where the file has ended. */
export function atEnd(end: End): void {
  if (over) void end();
  else begun.push(end);
}

/** Ends everything. Throws, when all have been tried, what has kept any from ending. */
export async function endAll(): Promise<void> {
  over = true;
  const wrong: unknown[] = [];
  for (const end of begun.splice(0).reverse()) {
    try {
      await end();
    } catch (error) {
      wrong.push(error);
    }
  }
  if (wrong.length > 0) throw new AggregateError(wrong, `${wrong.length} did not end.`);
}
