/** Plans a canary: what a rollout with assumed rates would do. */

import {
  answered,
  type CanarySimulated,
  ChefProblem,
  type DescribedField,
  type SimulateCanary,
} from "@codechef/client";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { useHost } from "../context.js";
import { number, share, words } from "../format.js";
import { useDescribed } from "../loaded.js";
import { Field, ProblemBox } from "../parts/index.js";
import { LinePlot } from "../plots/index.js";
import { endsPlot, pathsPlot } from "./simulator_plots.js";

type Name = Exclude<keyof SimulateCanary, "plot" | "curves" | "rollback_only">;

/** What may be assumed; what is left out is the server's to choose. */
const FIELDS: readonly Name[] = [
  "stable_rate",
  "candidate_rate",
  "weight",
  "max_requests",
  "runs",
  "guardrails",
  "requests_per_day",
  "seed",
];

type Seen =
  | { kind: "running" }
  | { kind: "done"; result: CanarySimulated }
  | { kind: "refused"; problem: ChefProblem };

export function Simulator(): JSX.Element {
  const { api } = useHost();
  const form = useRef<HTMLFormElement>(null);
  const [seen, setSeen] = useState<Seen>({ kind: "running" });
  const fields = useDescribed().value?.("SimulateCanary") ?? {};
  const problem = seen.kind === "refused" ? seen.problem : undefined;

  const simulate = async (): Promise<void> => {
    setSeen({ kind: "running" });
    const body = { ...assumed(form.current), curves: true };
    try {
      setSeen({
        kind: "done",
        result: await answered(api.POST("/modelops/simulate_canary", { body })),
      });
    } catch (error) {
      if (!(error instanceof ChefProblem)) throw error;
      setSeen({ kind: "refused", problem: error });
    }
  };
  useEffect(() => {
    void simulate();
  }, []);

  return (
    <div class="simulator">
      <form
        ref={form}
        aria-label="What is assumed"
        onSubmit={(event) => {
          event.preventDefault();
          void simulate();
        }}
      >
        {FIELDS.map((name) => (
          <Assumption key={name} name={name} described={fields[name]} problem={problem} />
        ))}
        <label class="check">
          <input type="checkbox" name="rollback_only" /> {words("rollback_only")}
        </label>
        <p class="hint">{fields["rollback_only"]?.description}</p>
        <button type="submit" class="primary" disabled={seen.kind === "running"}>
          Simulate
        </button>
      </form>
      <div aria-live="polite" aria-busy={seen.kind === "running"}>
        {seen.kind === "running" ? <p class="loading">Simulating …</p> : null}
        {seen.kind === "refused" ? <ProblemBox problem={seen.problem} /> : null}
        {seen.kind === "done" ? <Result of={seen.result} /> : null}
      </div>
    </div>
  );
}

function Assumption({
  name,
  described,
  problem,
}: {
  name: Name;
  described: DescribedField | undefined;
  problem: ChefProblem | undefined;
}): JSX.Element {
  const otherwise = described?.default;
  return (
    <Field name={name} described={described} problem={problem}>
      {(control) => (
        <input
          {...control}
          type="number"
          step="any"
          placeholder={typeof otherwise === "number" ? String(otherwise) : ""}
        />
      )}
    </Field>
  );
}

function Result({ of }: { of: CanarySimulated }): JSX.Element {
  const facts: [string, number | null, (value: number) => string][] = [
    ["rolled back", of.rollback_rate, share],
    ["promoted", of.promotion_rate, share],
    ["undecided", of.undecided_rate, share],
    ["candidate requests to a rollback, median", of.median_candidate_requests, number],
    ["nine of ten rollbacks by", of.p90_candidate_requests, number],
    ["the median of who knew both rates", of.sprt_median, number],
    ["requests until the end, mean", of.expected_requests, number],
    ["bad answers until then, mean", of.expected_errors, (value) => number(value, 1)],
    ["days until then, mean", of.expected_days, (value) => number(value, 1)],
  ];
  return (
    <>
      <dl class="tiles">
        {facts.map(([name, value, write]) =>
          value === null ? null : (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{write(value)}</dd>
            </div>
          ),
        )}
      </dl>
      {of.curves === null ? null : (
        <>
          <LinePlot {...endsPlot(of.curves)} />
          <LinePlot {...pathsPlot(of.curves)} />
        </>
      )}
    </>
  );
}

/** What the form holds; fields left empty are left out. */
function assumed(form: HTMLFormElement | null): SimulateCanary {
  if (form === null) return {};
  const given = new FormData(form);
  const numbers = FIELDS.flatMap((name) => {
    const text = given.get(name);
    return typeof text === "string" && text !== "" ? [[name, Number(text)] as const] : [];
  });
  return {
    ...Object.fromEntries(numbers),
    ...(given.has("rollback_only") ? { rollback_only: true } : {}),
  };
}
