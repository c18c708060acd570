import type { JSX } from "preact";

import { percent } from "../format.js";

/** How many colours there are for arms and lines: `colour-1`, `colour-2` … */
const COLOURS = 6;

/** The class of an arm's colour; 0 is the stable one. */
export function armColour(place: number): string {
  return `plot-colour-${(place % COLOURS) + 1}`;
}

/** The colour that an arm has in its split and in all plots. */
export function Swatch({ of }: { of: number }): JSX.Element {
  return <span class={`swatch ${armColour(of)}`} aria-hidden="true" />;
}

/** What an arm gets: of the traffic, of copies that nobody sees the answers to, or both. */
export function ArmShare({ weight, mirror }: { weight: number; mirror: number }): JSX.Element {
  const copies = `copies of ${percent(mirror, 0)}`;
  if (mirror === 0) return <span class="pair">{percent(weight, 0)}</span>;
  return <span class="pair">{weight === 0 ? copies : `${percent(weight, 0)}, ${copies}`}</span>;
}
