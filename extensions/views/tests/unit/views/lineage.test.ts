import { expect, test } from "vitest";

import { lineageOf } from "../../../src/views/registry/lineage.js";
import { version } from "./records.js";

const placed = (history: ReturnType<typeof version>[]): [string, number, number][] =>
  lineageOf(history).map(({ version: { version: name }, column, row }) => [name, column, row]);

test("a child stands beside its parent, a second one in a row of its own", () => {
  const history = [
    version("v3", "v1", "2026-03-01"),
    version("v2", "v1", "2026-02-01"),
    version("v1", null, "2026-01-01"),
    version("other", null, "2026-04-01"),
  ];
  expect(placed(history)).toEqual([
    ["v1", 0, 0],
    ["v2", 1, 0],
    ["v3", 1, 1],
    ["other", 0, 2],
  ]);
});

test("an unknown parent makes a root, and so does a circle", () => {
  expect(placed([version("v2", "gone", "2026-01-01")])).toEqual([["v2", 0, 0]]);
  const circle = [version("a", "b", "2026-01-01"), version("b", "a", "2026-01-02")];
  expect(placed(circle)).toHaveLength(2);
});
