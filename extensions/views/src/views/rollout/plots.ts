/** A rollout's history as plots: pure. */

import { percent, significant, signed, words } from "../../format.js";
import type { Bound, Line, LinePlotGiven, Mark } from "../../plots/index.js";

/** What is drawn of a history as the server tells it. */
export interface Told {
  points: readonly Point[];
  decisions: readonly { at: number; kind: string }[];
}

interface Point {
  at: number;
  asked_pct: number;
  realised_pct: number | null;
  guardrails: readonly Watched[];
}

interface Watched {
  guardrail: string;
  arm: string;
  candidate_rate: number | null;
  stable_rate: number | null;
  difference: readonly number[] | null;
  e_value: number;
  threshold: number;
  better_e_value: number | null;
  better_threshold: number | null;
}

/** Of each watch: its evidence against its bounds, and how much better the candidates do. */
export function evidencePlots(history: Told, arms: readonly string[]): LinePlotGiven[] {
  const watches = new Set(history.points.flatMap((one) => one.guardrails.map(nameOf)));
  return [...watches].flatMap((watch) => {
    const seen = seenOf(history, watch, arms);
    const asked = seen.some(({ told }) => told.some((one) => hasNumber(one?.better_e_value)));
    return [
      evidencePlot(history, watch, seen),
      ...(asked ? [betterPlot(history, watch, seen)] : []),
      differencePlot(history, watch, seen),
    ];
  });
}

/** An arm under a watch: its colour, and what each point says of it. */
interface Seen {
  arm: string;
  colour: number;
  told: (Watched | undefined)[];
}

function seenOf({ points }: Told, watch: string, arms: readonly string[]): Seen[] {
  const told = new Set(points.flatMap((point) => of(point, watch).map(({ arm }) => arm)));
  return arms
    .map((arm, place) => ({
      arm,
      colour: place + 1,
      told: points.map((point) => of(point, watch).find((one) => one.arm === arm)),
    }))
    .filter(({ arm }) => told.has(arm));
}

function evidencePlot(history: Told, watch: string, seen: Seen[]): LinePlotGiven {
  return {
    ...grown(history, seen, (one) => one.e_value),
    title: `${words(watch)}: evidence that it is worse`,
    bounds: boundOf(seen, "rolls back", (one) => one.threshold),
  };
}

function betterPlot(history: Told, watch: string, seen: Seen[]): LinePlotGiven {
  return {
    ...grown(history, seen, (one) => one.better_e_value),
    title: `${words(watch)}: evidence that it is better`,
    bounds: boundOf(seen, "is proven", (one) => one.better_threshold),
  };
}

type Value = (one: Watched) => number | null;

/** Evidence as it grew, on a logarithmic axis. */
function grown(history: Told, seen: Seen[], value: Value): Omit<LinePlotGiven, "title"> {
  return {
    x: { label: "time", values: history.points.map(({ at }) => at), time: true },
    y: { label: "e-value", log: true, write: (value) => significant(value, 2) },
    lines: seen.map(({ arm, colour, told }) => ({
      label: arm,
      colour,
      values: told.map((one) => (one === undefined ? null : value(one))),
    })),
    marks: marksOf(history),
    height: 160,
  };
}

function boundOf(seen: Seen[], label: string, value: Value): Bound[] {
  const found = seen
    .flatMap(({ told }) => told)
    .map((one) => (one === undefined ? null : value(one)))
    .filter(hasNumber)
    .at(-1);
  return found === undefined ? [] : [{ label, value: found }];
}

function hasNumber(value: number | null | undefined): value is number {
  return value !== null && value !== undefined;
}

function differencePlot(history: Told, watch: string, seen: Seen[]): LinePlotGiven {
  const per = (value: number | undefined): number | null =>
    value === undefined ? null : 100 * value;
  const lines: Line[] = seen.map(({ arm, colour, told }) => ({
    label: arm,
    colour,
    values: told.map((one) => {
      if (one === undefined || one.candidate_rate === null || one.stable_rate === null) return null;
      return per(one.candidate_rate - one.stable_rate);
    }),
    band: {
      low: told.map((one) => per(one?.difference?.[0])),
      high: told.map((one) => per(one?.difference?.[1])),
    },
  }));
  return {
    title: `${words(watch)}: good answers, beside the stable arm`,
    x: { label: "time", values: history.points.map(({ at }) => at), time: true },
    y: { label: "points more", write: (value) => signed(value) },
    lines,
    bounds: [{ label: "the same", value: 0 }],
    marks: marksOf(history),
    height: 160,
  };
}

/** The candidates' share as it was asked for, and as it was. */
export function splitPlot(history: Told): LinePlotGiven {
  const { points } = history;
  return {
    title: "The candidates' share of the requests",
    x: { label: "time", values: points.map(({ at }) => at), time: true },
    y: { label: "%", min: 0, max: 100, write: (value) => percent(value) },
    lines: [
      { label: "asked", dashed: true, colour: 1, values: points.map((one) => one.asked_pct) },
      { label: "realised", colour: 2, values: points.map((one) => one.realised_pct) },
    ],
    marks: marksOf(history),
    height: 160,
  };
}

function marksOf({ decisions }: Told): Mark[] {
  return decisions.map(({ at, kind }) => ({ x: at, label: words(kind) }));
}

function nameOf({ guardrail }: Watched): string {
  return guardrail;
}

function of(point: Point, watch: string): readonly Watched[] {
  return point.guardrails.filter((one) => one.guardrail === watch);
}
