/** What a plot of lines shows, and its columns as uPlot takes them. */

import type uPlot from "uplot";

/** Values in step with `x.values`; null where nothing was measured. */
export type Column = readonly (number | null)[];

/** A measured line, with the band of what is not certain about it where one is known. */
export interface Line {
  label: string;
  values: Column;
  dashed?: boolean;
  /** It goes on over what was not measured, which is a gap else. */
  joined?: boolean;
  band?: { low: Column; high: Column };
  /** Lines of a group have one entry of the legend, of this name. */
  group?: string;
  /** Which of the colours, from 1; by its place among the lines when left out. */
  colour?: number;
}

/** A value that means something when it is crossed: drawn across the plot. */
export interface Bound {
  label: string;
  value: number;
}

/** Something that happened: drawn as an upright line. */
export interface Mark {
  x: number;
  label: string;
}

/** An axis: what it counts, and how its numbers are written. */
export interface Axis {
  label: string;
  /** There is nothing between whole numbers. */
  whole?: boolean;
  write?: (value: number) => string;
}

/** A plot of lines over one horizontal axis. */
export interface LinePlotGiven {
  /** Says what it shows: its caption, and its name for who does not see it. */
  title: string;
  /** `values` rise. `time`: they are seconds since the epoch. */
  x: Axis & { values: readonly number[]; time?: boolean };
  /** `log`: a logarithmic axis, where values of 0 and below lie on its lower edge. */
  y: Axis & { log?: boolean; min?: number; max?: number };
  lines: readonly Line[];
  bounds?: readonly Bound[];
  marks?: readonly Mark[];
  /** In CSS pixels. */
  height?: number;
}

/** A column as it is drawn. */
export interface Series {
  label: string;
  kind: "line" | "bound" | "edge";
  /** Index of its colour; of its line's for the edge of a band. */
  colour: number;
  dashed: boolean;
  joined: boolean;
  /** Which entry of the legend shows and hides it. */
  entry: number;
}

/** A plot's columns, ready to draw. */
export interface Columns {
  series: Series[];
  data: uPlot.AlignedData;
  bands: uPlot.Band[];
}

/** Returns the columns of a plot: its lines, its bounds, then the edges of its bands. */
export function columnsOf({ x, y, lines, bounds = [] }: LinePlotGiven): Columns {
  const series: Series[] = [];
  const values: Column[] = [];
  const bands: uPlot.Band[] = [];
  const add = (one: Series, column: Column): void => {
    series.push(one);
    values.push(column);
  };
  const colour = (line: Line, i: number): number => (line.colour ?? i + 1) - 1;
  lines.forEach((line, i) => {
    const { label, dashed = false, joined = false } = line;
    add(
      { label, kind: "line", colour: colour(line, i), dashed, joined, entry: entryOf(lines, i) },
      line.values,
    );
  });
  bounds.forEach(({ label, value }, i) => {
    const entry = lines.length + i;
    const column = x.values.map(() => value);
    add({ label, kind: "bound", colour: 0, dashed: true, joined: false, entry }, column);
  });
  lines.forEach((line, i) => {
    if (line.band === undefined) return;
    const edge = {
      kind: "edge",
      colour: colour(line, i),
      dashed: false,
      joined: false,
      entry: entryOf(lines, i),
    } as const;
    add({ ...edge, label: `${line.label}, at most` }, line.band.high);
    add({ ...edge, label: `${line.label}, at least` }, line.band.low);
    bands.push({ series: [series.length - 1, series.length] });
  });
  const drawn = y.log === true ? values.map((column) => onLog(column, values)) : values;
  return { series, bands, data: [x.values as number[], ...(drawn as (number | null)[][])] };
}

/** Which entry of the legend a line has: that of the first of its group. */
export function entryOf(lines: readonly Line[], i: number): number {
  const group = lines[i]?.group;
  return group === undefined ? i : lines.findIndex((line) => line.group === group);
}

/** A logarithm has no room for 0: such values are drawn at the least one that it has room for. */
function onLog(column: Column, all: readonly Column[]): Column {
  if (!column.some((value) => value !== null && value <= 0)) return column;
  let least = Infinity;
  for (const each of all) {
    for (const value of each) if (value !== null && value > 0 && value < least) least = value;
  }
  const edge = least === Infinity ? null : least;
  return column.map((value) => (value !== null && value <= 0 ? edge : value));
}
