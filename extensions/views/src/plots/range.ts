/** Which part of a plot is shown: pure, so that wheel, drag, keys and buttons do the same. */

/** A stretch of the horizontal axis; `from` is less than `to`. */
export interface Range {
  from: number;
  to: number;
}

/** No closer than this share of the whole. */
const CLOSEST = 1e-3;

/**
 * Returns the stretch that holds all of the ordered values, and what else is to be seen beside them;
 * a single value gets room around it.
 */
export function wholeOf(xs: readonly number[], others: readonly number[] = []): Range {
  const ends = xs.length === 0 ? [0, 1] : [xs[0] ?? 0, xs[xs.length - 1] ?? 1];
  const from = Math.min(...ends, ...others);
  const to = Math.max(...ends, ...others);
  return from < to ? { from, to } : { from: from - 0.5, to: from + 0.5 };
}

/** Returns the part `factor` times as wide (below 1: closer), with `at` where it was. */
export function zoomed(shown: Range, whole: Range, factor: number, at: number): Range {
  const most = whole.to - whole.from;
  const wide = Math.min(most, Math.max(most * CLOSEST, (shown.to - shown.from) * factor));
  const share = (at - shown.from) / (shown.to - shown.from);
  return within({ from: at - wide * share, to: at + wide * (1 - share) }, whole);
}

/** Returns the part moved by a share of its own width; it stops at the ends. */
export function panned(shown: Range, whole: Range, share: number): Range {
  const by = (shown.to - shown.from) * share;
  return within({ from: shown.from + by, to: shown.to + by }, whole);
}

/**
 * Returns what to show when the whole has grown: all of it for who saw all, the newest part for who
 * saw the newest, else the same part.
 */
export function kept(shown: Range, before: Range, now: Range): Range {
  if (same(shown, before)) return now;
  if (shown.to >= before.to) {
    return within({ from: now.to - (shown.to - shown.from), to: now.to }, now);
  }
  return within(shown, now);
}

/** Whether two stretches are the same. */
export function same(a: Range, b: Range): boolean {
  return a.from === b.from && a.to === b.to;
}

function within(range: Range, whole: Range): Range {
  const wide = range.to - range.from;
  if (wide >= whole.to - whole.from) return whole;
  if (range.from < whole.from) return { from: whole.from, to: whole.from + wide };
  if (range.to > whole.to) return { from: whole.to - wide, to: whole.to };
  return range;
}
