import type { JSX } from "preact";

import { armColour } from "./arm.js";

export interface Portion {
  name: string;
  /** Per cent of the whole. */
  percent: number;
}

/** A whole in portions, e.g. a split of traffic, in the arms' colours. The same stands in its label. */
export function Bar({ label, portions }: { label: string; portions: Portion[] }): JSX.Element {
  const said = portions.map(({ name, percent }) => `${name} ${round(percent)} %`).join(", ");
  let from = 0;
  return (
    <svg
      class="bar"
      role="img"
      aria-label={`${label}: ${said}`}
      viewBox="0 0 100 8"
      preserveAspectRatio="none"
    >
      <rect class="bar-rest" width="100" height="8" />
      {portions.map(({ name, percent }, place) => {
        const x = from;
        from += percent;
        return <rect key={name} class={armColour(place)} x={x} width={percent} height="8" />;
      })}
    </svg>
  );
}

/** How far something has come. */
export function Meter({ label, percent }: { label: string; percent: number }): JSX.Element {
  return (
    <progress class="meter" aria-label={label} max={100} value={percent}>
      {round(percent)} %
    </progress>
  );
}

function round(percent: number): string {
  return percent.toLocaleString("en", { maximumFractionDigits: 1 });
}
