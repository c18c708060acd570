/** Numbers as people read them. What was not measured is a dash. */

import type { PlannedChange } from "@codechef/client";

const NONE = "–";

export function number(value: number | null | undefined, digits = 0): string {
  if (value === null || value === undefined) return NONE;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

/** A number whose size may be anything, with so many significant digits. */
export function significant(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined) return NONE;
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-4)) return value.toExponential(digits - 1);
  return value.toLocaleString("en", { maximumSignificantDigits: digits });
}

/** Of a share in 0..1. */
export function share(value: number | null | undefined, digits = 1): string {
  return value === null || value === undefined ? NONE : percent(100 * value, digits);
}

/** Of a number that is per cent already. */
export function percent(value: number | null | undefined, digits = 1): string {
  return value === null || value === undefined ? NONE : `${number(value, digits)} %`;
}

export function signed(value: number, digits = 1): string {
  return `${sign(value)}${number(Math.abs(value), digits)}`;
}

/** A difference whose size may be anything. */
export function signedSignificant(value: number, digits = 3): string {
  return `${sign(value)}${significant(Math.abs(value), digits)}`;
}

function sign(value: number): string {
  return value > 0 ? "+" : value < 0 ? "−" : "±";
}

export function money(usd: number | null | undefined): string {
  if (usd === null || usd === undefined) return NONE;
  return usd.toLocaleString("en", { style: "currency", currency: "USD" });
}

/** What a change is estimated to cost. */
export function price({
  estimated_cost_usd,
  cost_is_per_hour,
}: Pick<PlannedChange, "estimated_cost_usd" | "cost_is_per_hour">): string {
  return `${money(estimated_cost_usd)}${cost_is_per_hour ? " an hour" : ""}`;
}

/** Of milliseconds, e.g. `850 ms`, `1.2 s`. */
export function latency(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return NONE;
  return ms < 1000 ? `${number(ms)} ms` : `${number(ms / 1000, 1)} s`;
}

const KINDS = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
] as const;

/** The two largest units, e.g. `2 h 5 min`. */
export function duration(seconds: number): string {
  let rest = Math.max(0, Math.round(seconds));
  const parts: string[] = [];
  for (const [unit, size] of KINDS) {
    const count = Math.floor(rest / size);
    rest %= size;
    if (count > 0) parts.push(`${count} ${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.length === 0 ? "0 s" : parts.join(" ");
}

const BYTES = ["B", "kB", "MB", "GB", "TB"];

export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return NONE;
  let [value, unit] = [count, 0];
  while (value >= 1000 && unit < BYTES.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${number(value, unit === 0 || value >= 100 ? 0 : 1)} ${BYTES[unit] ?? ""}`;
}

/** A name of the server's as words, e.g. `approval_asked` → `approval asked`. */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}

/** Of a time as the server writes it (ISO 8601), e.g. `16 Nov 2026, 15:46`, where one is. */
export function moment(time: string | null): string {
  if (time === null) return NONE;
  return new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}
