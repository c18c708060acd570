/** What changed, metric by metric: numbers, and a forest plot on one scale. */

import type { EvaluationResult, ExpenseResult, MetricResult } from "@codechef/client";
import type { JSX } from "preact";

import { number, percent, signed, signedSignificant, significant, words } from "../../format.js";
import { Badge, Table } from "../../parts/index.js";
import { Interval, scaleOf } from "../../plots/index.js";
import { change } from "./verdict.js";

export function Metrics({ found }: { found: EvaluationResult }): JSX.Element {
  const { changes, expenses } = found;
  const scale = scaleOf(
    changes.flatMap(({ difference, interval }) => [difference, interval ?? []].flat()),
  );
  return (
    <section>
      <h2>Metrics</h2>
      <Table
        caption="Scores from 0 to 1, higher is better; differences with their 95 % intervals"
        rows={changes}
        id={({ metric }) => metric}
        empty="Nothing was measured."
        columns={[
          { title: "Metric", cell: ({ metric }) => <bdi>{words(metric)}</bdi> },
          { title: "Weight", numeric: true, cell: weightOf },
          { title: "Baseline", numeric: true, cell: ({ baseline }) => number(baseline, 3) },
          { title: "Candidate", numeric: true, cell: ({ candidate }) => number(candidate, 3) },
          { title: "Change", numeric: true, cell: ({ change_pct }) => change(change_pct) },
          { title: "Difference", numeric: true, cell: differenceOf },
          {
            title: "worse ← 0 → better",
            cell: ({ difference, interval, supported }) => (
              <Interval
                scale={scale}
                value={difference}
                interval={interval}
                tone={toneOf(difference, supported)}
              />
            ),
          },
          { title: "Settled", cell: settledOf },
        ]}
      />
      {expenses.length === 0 ? null : <Expenses expenses={expenses} />}
    </section>
  );
}

/** As the configuration writes it; 0 for what is reported and does not decide. */
function weightOf({ weight }: MetricResult): string {
  if (weight === null) return number(null);
  return weight === 0 ? "not weighed" : number(weight, 2);
}

function differenceOf({ difference, interval }: MetricResult): JSX.Element | string {
  if (difference === null) return number(null);
  return (
    <>
      {signed(difference, 3)}
      {interval === null ? null : (
        <span class="soft">
          {" "}
          [{signed(interval[0], 3)}, {signed(interval[1], 3)}]
        </span>
      )}
    </>
  );
}

function toneOf(difference: number | null, supported: boolean | null): "good" | "bad" | "plain" {
  if (difference === null || supported !== true) return "plain";
  return difference > 0 ? "good" : "bad";
}

function settledOf({ difference, supported }: MetricResult): JSX.Element | string {
  if (supported === null) return "–";
  if (!supported) return <Badge tone="plain">not settled</Badge>;
  return (difference ?? 0) > 0 ? (
    <Badge tone="good">better</Badge>
  ) : (
    <Badge tone="bad">worse</Badge>
  );
}

const MEASURES: Record<ExpenseResult["measure"], string> = {
  latency_s: "Latency, s",
  tokens: "Tokens",
  cost_usd: "Cost, $",
};

function Expenses({ expenses }: { expenses: ExpenseResult[] }): JSX.Element {
  return (
    <Table
      caption="What a call takes in the mean; lower is better"
      rows={expenses}
      id={({ measure }) => measure}
      columns={[
        { title: "Measure", cell: ({ measure }) => MEASURES[measure] },
        { title: "Baseline", numeric: true, cell: ({ baseline }) => significant(baseline) },
        { title: "Candidate", numeric: true, cell: ({ candidate }) => significant(candidate) },
        { title: "Change", numeric: true, cell: ({ change_pct }) => change(change_pct) },
        {
          title: "95 % interval of the difference",
          numeric: true,
          cell: ({ interval }) =>
            interval === null
              ? percent(null)
              : `${signedSignificant(interval[0])} … ${signedSignificant(interval[1])}`,
        },
      ]}
    />
  );
}
