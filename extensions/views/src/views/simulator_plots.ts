/** A simulation's curves as plots: pure. */

import type { CanaryCurves } from "@codechef/client";

import { percent, significant } from "../format.js";
import type { Line, LinePlotGiven } from "../plots/index.js";

const REQUESTS = "requests of the candidate";

/** How many of the runs have ended, and how, over the candidate's requests. */
export function endsPlot(curves: CanaryCurves): LinePlotGiven {
  const per = (shares: number[]): number[] => shares.map((one) => 100 * one);
  const lines: Line[] = [
    { label: "rolled back", colour: 2, values: per(curves.rolled_back) },
    { label: "promoted", colour: 1, values: per(curves.promoted) },
  ];
  if (curves.rolled_back_knowing !== null) {
    lines.push({
      label: "rolled back by who knew both rates",
      colour: 2,
      dashed: true,
      values: per(curves.rolled_back_knowing),
    });
  }
  return {
    title: "How the runs end",
    x: { label: REQUESTS, values: curves.requests },
    y: { label: "% of the runs", min: 0, max: 100, write: (value) => percent(value, 0) },
    lines,
  };
}

/** The evidence of some runs on its way to the bound. */
export function pathsPlot({ paths, threshold }: CanaryCurves): LinePlotGiven {
  const values = [...new Set(paths.flatMap(({ requests }) => requests))].sort((a, b) => a - b);
  return {
    title: "How the evidence of some runs gets there",
    x: { label: REQUESTS, values },
    y: { label: "e-value", log: true, write: (value) => significant(value, 2) },
    lines: paths.map(({ requests, evidence, rolls_back }, i) => {
      const known = new Map(requests.map((request, k) => [request, evidence[k] ?? null]));
      return {
        label: `run ${i + 1}${rolls_back ? ", rolled back" : ""}`,
        group: rolls_back ? "rolled back" : "not rolled back",
        colour: rolls_back ? 2 : 1,
        joined: true,
        values: values.map((request) => known.get(request) ?? null),
      };
    }),
    bounds: [{ label: "rolls back", value: threshold }],
  };
}
