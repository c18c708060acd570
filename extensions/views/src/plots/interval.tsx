/** A value and its interval on a scale that several rows share: one row of a forest plot. */

import type { JSX } from "preact";

/** From and to where rows are drawn; 0 lies within. */
export interface Scale {
  from: number;
  to: number;
}

/** Returns a scale with room for all values and for 0 in its middle. */
export function scaleOf(values: readonly (number | null)[]): Scale {
  const most = Math.max(0, ...values.map((value) => Math.abs(value ?? 0)));
  const to = most === 0 ? 1 : 1.1 * most;
  return { from: -to, to };
}

/** The numbers stand beside it: who hears the page hears them there. */
export function Interval({
  scale,
  value,
  interval,
  tone,
}: {
  scale: Scale;
  value: number | null;
  interval: readonly [number, number] | null;
  tone: "good" | "bad" | "plain";
}): JSX.Element {
  const place = (at: number): string => `${(100 * (at - scale.from)) / (scale.to - scale.from)}%`;
  return (
    <svg class={`interval ${tone}`} aria-hidden="true">
      <line class="interval-zero" x1={place(0)} x2={place(0)} y1="0" y2="100%" />
      {interval === null ? null : (
        <>
          <line x1={place(interval[0])} x2={place(interval[1])} y1="50%" y2="50%" />
          {interval.map((end) => (
            <line key={end} x1={place(end)} x2={place(end)} y1="25%" y2="75%" />
          ))}
        </>
      )}
      {value === null ? null : <circle cx={place(value)} cy="50%" r="4.5" />}
    </svg>
  );
}
