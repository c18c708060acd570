/** Which words of two texts differ: pure. */

/** A stretch of a text, and whether the other text has it too. */
export interface Stretch {
  text: string;
  differs: boolean;
}

/** Beyond so many pairs of words what lies between the common ends counts as different. */
const MOST_PAIRS = 1_000_000;

/** Returns both texts in stretches; put together they are the texts. */
export function wordDiff(a: string, b: string): [Stretch[], Stretch[]] {
  const [left, right] = [wordsOf(a), wordsOf(b)];
  let start = 0;
  while (start < left.length && start < right.length && left[start] === right[start]) start++;
  let end = 0;
  while (
    end < left.length - start &&
    end < right.length - start &&
    left[left.length - 1 - end] === right[right.length - 1 - end]
  ) {
    end++;
  }
  const [midLeft, midRight] = [left, right].map((words) => words.slice(start, words.length - end));
  const [inLeft, inRight] = common(midLeft ?? [], midRight ?? []);
  return [stretches(left, start, end, inLeft), stretches(right, start, end, inRight)];
}

/** Words, and what stands between them. */
function wordsOf(text: string): string[] {
  return text.match(/\p{L}[\p{L}\p{M}\p{N}_]*|\p{N}+|\s+|[^]/gu) ?? [];
}

/** Of both lists, which words are in their longest common subsequence. */
function common(a: string[], b: string[]): [boolean[], boolean[]] {
  const inA = a.map(() => false);
  const inB = b.map(() => false);
  if (a.length * b.length > MOST_PAIRS) return [inA, inB];
  const wide = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * wide); // of what follows in both
  const at = (i: number, j: number): number => longest[i * wide + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i * wide + j] =
        a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      inA[i++] = true;
      inB[j++] = true;
    } else if (at(i + 1, j) >= at(i, j + 1)) i++;
    else j++;
  }
  return [inA, inB];
}

function stretches(words: string[], start: number, end: number, shared: boolean[]): Stretch[] {
  const found: Stretch[] = [];
  words.forEach((word, i) => {
    const inside = i >= start && i < words.length - end;
    const differs = inside && shared[i - start] !== true;
    const last = found[found.length - 1];
    if (last?.differs === differs) last.text += word;
    else found.push({ text: word, differs });
  });
  return found;
}
