import { expect, test } from "vitest";

import { columnsOf } from "../../../src/plots/description.js";

const X = { label: "step", values: [1, 2, 3] };

test("lines come first, then bounds, then the edges of bands in the colour of their line", () => {
  const { series, data, bands } = columnsOf({
    title: "Errors",
    x: X,
    y: { label: "share" },
    lines: [
      { label: "stable", values: [1, null, 3] },
      { label: "canary", values: [2, 2, 2], band: { low: [1, 1, 1], high: [3, 3, 3] } },
    ],
    bounds: [{ label: "limit", value: 5 }],
  });
  expect(series.map(({ kind, colour, entry }) => [kind, colour, entry])).toEqual([
    ["line", 0, 0],
    ["line", 1, 1],
    ["bound", 0, 2],
    ["edge", 1, 1],
    ["edge", 1, 1],
  ]);
  expect(data).toEqual([
    [1, 2, 3],
    [1, null, 3],
    [2, 2, 2],
    [5, 5, 5],
    [3, 3, 3],
    [1, 1, 1],
  ]);
  expect(bands).toEqual([{ series: [4, 5] }]);
});

test("on a logarithmic axis what it has no room for lies on its lower edge", () => {
  const { data } = columnsOf({
    title: "Evidence",
    x: X,
    y: { label: "e-value", log: true },
    lines: [{ label: "errors", values: [0, 0.25, null] }],
    bounds: [{ label: "bound", value: 20 }],
  });
  expect(data[1]).toEqual([0.25, 0.25, null]);
});

test("lines of a group are shown and hidden by the entry of their first", () => {
  const values = [1, 2, 3];
  const group = "runs";
  const { series } = columnsOf({
    title: "Runs",
    x: X,
    y: { label: "e-value" },
    lines: [
      { label: "mean", values },
      { label: "run 1", values, group },
      { label: "run 2", values, group },
    ],
  });
  expect(series.map(({ entry }) => entry)).toEqual([0, 1, 1]);
});
