/** Hyperparameters: those that the server would take, and what somebody wants in their place. */

import type { ChefProblem, PricedTraining } from "@codechef/client";
import type { JSX } from "preact";

import { words } from "../../format.js";
import { written } from "../../given.js";
import { useNewest } from "../../loaded.js";
import { Asked } from "../../parts/index.js";

/** Under what name a plan tells them. */
export const SETTINGS = "hyperparameters";

/** Returns the hyperparameters that a training would have; undefined before the server says them. */
export function settingsOf(
  priced: readonly PricedTraining[] | undefined,
): Record<string, unknown> | undefined {
  const said = priced?.flatMap(({ planned }) => planned ?? [])[0]?.details[SETTINGS];
  return typeof said === "object" && said !== null ? (said as Record<string, unknown>) : undefined;
}

export function Settings({
  usual,
  given,
  give,
  problem,
}: {
  usual: Record<string, unknown> | undefined;
  given: Readonly<Record<string, string>>;
  give: (name: string, text: string) => void;
  problem: ChefProblem | undefined;
}): JSX.Element | null {
  // What is refused is priced in no mode; the fields stay.
  const known = useNewest(usual);
  if (known === undefined) return null;
  const single = Object.entries(known).filter(
    ([, value]) => value === null || typeof value !== "object",
  );
  return (
    <details class="more">
      <summary>Hyperparameters</summary>
      <div class="fields small">
        {single.map(([name, value]) => (
          <Asked
            key={name}
            name={`overrides.${name}`}
            label={words(name)}
            problem={problem}
            value={given[name] ?? ""}
            otherwise={written(value) || "–"}
            give={(text) => give(name, text)}
          />
        ))}
      </div>
    </details>
  );
}
