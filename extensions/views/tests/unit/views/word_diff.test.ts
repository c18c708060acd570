import { expect, test } from "vitest";

import { type Stretch, wordDiff } from "../../../src/views/compare/word_diff.js";

const whole = (stretches: Stretch[]): string => stretches.map(({ text }) => text).join("");
const shared = (stretches: Stretch[]): string => whole(stretches.filter(({ differs }) => !differs));

test("the words that differ are told from those that both texts have", () => {
  const [a, b] = wordDiff("return a + b;", "return b + a;");
  expect(a.filter(({ differs }) => differs).map(({ text }) => text.trim())).toContain("a");
  expect(whole(a)).toBe("return a + b;");
  expect(whole(b)).toBe("return b + a;");
});

test("equal texts have no difference, and nothing is found in nothing", () => {
  expect(wordDiff("same", "same")[0]).toEqual([{ text: "same", differs: false }]);
  expect(wordDiff("", "new")).toEqual([[], [{ text: "new", differs: true }]]);
});

test("whatever the texts, stretches make the texts again and what they share is the same", () => {
  let seed = 7;
  const next = (below: number): number => {
    seed = (seed * 16_807) % 2_147_483_647;
    return seed % below;
  };
  const alphabet = ["a", "b", " ", "\n", "é", "𝔘", "\u200f", "<b>", "1"];
  const text = (): string =>
    Array.from({ length: next(30) }, () => alphabet[next(alphabet.length)]).join("");
  for (let i = 0; i < 300; i++) {
    const [a, b] = [text(), text()];
    const [left, right] = wordDiff(a, b);
    expect(whole(left)).toBe(a);
    expect(whole(right)).toBe(b);
    expect(shared(left)).toBe(shared(right));
  }
});

test("very long texts are marked as different between their common ends", () => {
  const long = (word: string): string => `start ${`${word} `.repeat(2_000)}end`;
  const [a] = wordDiff(long("x"), long("y"));
  expect(a.filter(({ differs }) => differs)).toHaveLength(1);
  expect(a[0]).toEqual({ text: "start ", differs: false });
});
