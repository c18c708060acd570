/** What the lines are: shows their values at the pointer, hides and shows them. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { entryOf, type LinePlotGiven } from "./description.js";
import { number } from "./numbers.js";

/** Events that there is room to name. */
const FEW = 3;

interface LegendGiven {
  given: LinePlotGiven;
  /** Index of the value that the pointer is at. */
  point: number | undefined;
  /** How a place on the horizontal axis is written. */
  write: (x: number) => string;
  onToggle: (entry: number, visible: boolean) => void;
}

export function Legend({ given, point, write, onToggle }: LegendGiven): JSX.Element {
  const [hidden, setHidden] = useState<ReadonlySet<number>>(new Set());
  const { lines, bounds = [], marks = [], x, y } = given;
  const at = point === undefined ? undefined : x.values[point];
  const entries = [
    ...lines.map((line, i) => ({
      entry: i,
      label: line.group ?? line.label,
      swatch: `plot-swatch plot-colour-${(((line.colour ?? i + 1) - 1) % 6) + 1}`,
      value: point === undefined || line.group !== undefined ? undefined : line.values[point],
    })),
    ...bounds.map(({ label, value }, i) => ({
      entry: lines.length + i,
      label,
      swatch: "plot-swatch plot-bound",
      value,
    })),
  ].filter(({ entry }) => entry >= lines.length || entry === entryOf(lines, entry));
  const toggle = (entry: number): void => {
    const next = new Set(hidden);
    const visible = next.delete(entry);
    if (!visible) next.add(entry);
    setHidden(next);
    onToggle(entry, visible);
  };
  return (
    <ul class="plot-legend">
      {entries.map(({ entry, label, swatch, value }) => (
        <li key={entry}>
          <button type="button" aria-pressed={!hidden.has(entry)} onClick={() => toggle(entry)}>
            <span class={swatch} aria-hidden="true" />
            <bdi>{label}</bdi>
          </button>
          <span class="plot-value">
            {value === undefined || value === null ? "" : (y.write ?? number)(value)}
          </span>
        </li>
      ))}
      {marks.length === 0 ? null : (
        <li>
          <span class="plot-swatch plot-mark" aria-hidden="true" />
          <bdi>{nearest(given, at)}</bdi>
        </li>
      )}
      <li class="plot-at">{at === undefined ? "" : write(at)}</li>
    </ul>
  );
}

/** What happened near the pointer; else all of it where that is little, or how much. */
function nearest({ marks = [], x }: LinePlotGiven, at: number | undefined): string {
  const [first = 0, last = 0] = [x.values[0], x.values[x.values.length - 1]];
  const near = marks.filter(
    (mark) => at !== undefined && Math.abs(mark.x - at) <= (last - first) / 50,
  );
  if (near.length > 0) return near.map(({ label }) => label).join(" · ");
  if (marks.length <= FEW) return marks.map(({ label }) => label).join(" · ");
  return `${marks.length} events`;
}
