import { expect, test } from "vitest";

import { kept, panned, wholeOf, zoomed } from "../../../src/plots/range.js";

const WHOLE = { from: 0, to: 100 };

test("the whole goes from the first value to the last, and has room for a single one", () => {
  expect(wholeOf([2, 5, 9])).toEqual({ from: 2, to: 9 });
  expect(wholeOf([4])).toEqual({ from: 3.5, to: 4.5 });
  expect(wholeOf([])).toEqual({ from: 0, to: 1 });
  expect(wholeOf([2, 5], [1, 4, 9])).toEqual({ from: 1, to: 9 });
});

test("zooming leaves what is under the pointer where it is", () => {
  expect(zoomed(WHOLE, WHOLE, 0.5, 50)).toEqual({ from: 25, to: 75 });
  expect(zoomed(WHOLE, WHOLE, 0.5, 20)).toEqual({ from: 10, to: 60 });
});

test("zooming out ends with the whole, zooming in before nothing is left", () => {
  expect(zoomed({ from: 10, to: 60 }, WHOLE, 100, 20)).toEqual(WHOLE);
  const closest = zoomed(WHOLE, WHOLE, 1e-9, 50);
  expect(closest.to - closest.from).toBeCloseTo(0.1);
});

test("panning keeps the width and stops at the ends", () => {
  expect(panned({ from: 20, to: 40 }, WHOLE, 0.5)).toEqual({ from: 30, to: 50 });
  expect(panned({ from: 20, to: 40 }, WHOLE, -9)).toEqual({ from: 0, to: 20 });
  expect(panned({ from: 20, to: 40 }, WHOLE, 9)).toEqual({ from: 80, to: 100 });
});

test("new numbers are shown to who saw the whole or the newest, and move nothing else", () => {
  const now = { from: 0, to: 120 };
  expect(kept(WHOLE, WHOLE, now)).toEqual(now);
  expect(kept({ from: 80, to: 100 }, WHOLE, now)).toEqual({ from: 100, to: 120 });
  expect(kept({ from: 20, to: 40 }, WHOLE, now)).toEqual({ from: 20, to: 40 });
});
