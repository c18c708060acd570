/** Asks until there is an answer; throws with `what` when none comes. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  seconds = 60,
): Promise<T> {
  const end = Date.now() + 1000 * seconds;
  for (;;) {
    const found = await ask();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`Waited ${seconds} s for ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
