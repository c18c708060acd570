/** The modes of a training side by side, each with what it would do and cost. */

import type { ChefProblem, PlannedChange, PricedTraining, TrainingMode } from "@codechef/client";
import type { JSX } from "preact";
import { useId } from "preact/hooks";

import { duration, price } from "../../format.js";
import { Text } from "../../parts/index.js";

export function Modes({
  priced,
  current,
  chosen,
  choose,
}: {
  priced: readonly PricedTraining[] | undefined;
  /** Whether the prices are those of what the form says now. */
  current: boolean;
  chosen: TrainingMode | undefined;
  choose: (mode: TrainingMode) => void;
}): JSX.Element {
  return (
    <fieldset class="modes" aria-busy={!current}>
      <legend>How thoroughly</legend>
      {priced === undefined ? <p class="loading">Asking for the prices …</p> : null}
      {priced?.map((one) => (
        <Mode
          key={one.mode}
          of={one}
          chosen={one.mode === chosen}
          choose={() => choose(one.mode)}
        />
      ))}
    </fieldset>
  );
}

function Mode({
  of: { mode, planned, problem },
  chosen,
  choose,
}: {
  of: PricedTraining;
  chosen: boolean;
  choose: () => void;
}): JSX.Element {
  const id = useId();
  return (
    <label class="mode">
      <input
        type="radio"
        name="mode"
        checked={chosen}
        aria-labelledby={`${id}-name ${id}-price`}
        aria-describedby={`${id}-said`}
        onChange={choose}
      />
      <span id={`${id}-name`} class="mode-name">
        {mode}
      </span>
      <span id={`${id}-price`} class="mode-price">
        {planned === undefined ? "not now" : price(planned)}
      </span>
      <span id={`${id}-said`} class="mode-said">
        {planned === undefined ? <Text>{refusal(problem)}</Text> : <Said of={planned} />}
      </span>
    </label>
  );
}

/** What is wrong with one field stands there. */
function refusal({ message, remedy, details }: ChefProblem): string {
  return details?.errors.length ? "Not as it stands: see the field." : `${message} ${remedy}`;
}

function Said({ of }: { of: PlannedChange }): JSX.Element {
  const { estimated_minutes: minutes, approval_needed: approval, summary, objection } = of;
  const facts = [
    minutes === null ? "" : `about ${duration(60 * minutes)}`,
    approval ? "needs an approval" : "needs no approval",
  ];
  return (
    <>
      <span class="soft">{facts.filter(Boolean).join(" · ")}</span>
      <Text>{summary}</Text>
      {objection ? (
        <span class="objection">
          <Text>{objection}</Text>
        </span>
      ) : null}
    </>
  );
}
