import { signal } from "@preact/signals";
import type { JSX } from "preact";

import { duration } from "../format.js";

/** Seconds since the epoch, for all that tells a time; moves on while anybody looks. */
export const clock = signal(Date.now() / 1000);
setInterval(() => {
  clock.value = Date.now() / 1000;
}, 1000);

/** A moment, as it is from now: "3 min ago", "in 2 h"; the date in its title. */
export function Time({ at }: { at: number | null | undefined }): JSX.Element {
  if (at === null || at === undefined) return <span>–</span>;
  const date = new Date(1000 * at);
  return (
    <time dateTime={date.toISOString()} title={date.toLocaleString()}>
      {fromNow(at, clock.value)}
    </time>
  );
}

function fromNow(at: number, now: number): string {
  const ahead = at - now;
  if (Math.abs(ahead) < 5) return "now";
  return ahead > 0 ? `in ${duration(coarse(ahead))}` : `${duration(coarse(-ahead))} ago`;
}

/** So that a time does not change with every second that is looked at. */
function coarse(seconds: number): number {
  if (seconds < 60) return Math.floor(seconds / 5) * 5;
  if (seconds < 3_600) return Math.floor(seconds / 60) * 60;
  return seconds < 86_400 ? Math.floor(seconds / 600) * 600 : Math.floor(seconds / 3_600) * 3_600;
}
