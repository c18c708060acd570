import type { JSX } from "preact";

import { percent } from "../format.js";
import { Bar } from "./bar.js";

export interface SplitArm {
  name: string;
  asked: number;
  /** Null before there was a request. */
  realised: number | null;
  /** Of the requests, whose answers nobody gets. */
  copies: number;
}

/** How traffic is to be split, and how it was. */
export function Split({
  arms,
  asked = "asked",
}: {
  /** The stable one first. */
  arms: readonly SplitArm[];
  /** What is split. */
  asked?: string;
}): JSX.Element {
  return (
    <dl class="split">
      <Row title={asked} label={`Split as ${asked}`} arms={arms} of={(arm) => arm.asked} />
      {arms.some(({ realised }) => realised !== null) ? (
        <Row
          title="realised"
          label="Split as realised"
          arms={arms}
          of={(arm) => arm.realised ?? 0}
        />
      ) : null}
      {arms.some(({ copies }) => copies > 0) ? (
        <Row title="copies" label="Copies" arms={arms} of={(arm) => arm.copies} />
      ) : null}
    </dl>
  );
}

function Row({
  title,
  label,
  arms,
  of,
}: {
  title: string;
  label: string;
  arms: readonly SplitArm[];
  of: (arm: SplitArm) => number;
}): JSX.Element {
  const portions = arms.map((arm) => ({ name: arm.name, percent: of(arm) }));
  return (
    <>
      <dt>{title}</dt>
      <dd>
        <Bar label={label} portions={portions} />
        <span class="numeric">{portions.map((one) => percent(one.percent)).join(" · ")}</span>
      </dd>
    </>
  );
}
