/** Choosing a training: what each mode would do and cost. */

import { CHOICES } from "./choices.js";
import type { Api } from "./client.js";
import type { TrainSubagentModel } from "./schema.js";
import { type Tried, tryOut } from "./use_cases.js";

const { mode: MODES } = CHOICES.train_subagent_model;
export type TrainingMode = (typeof MODES)[number]["value"];

/** A training in one mode. */
export type PricedTraining = Tried & { mode: TrainingMode };

/** Prices a training in every mode. */
export async function priceTraining(
  api: Api,
  request: TrainSubagentModel,
): Promise<PricedTraining[]> {
  return Promise.all(
    MODES.map(async ({ value: mode }) => ({
      mode,
      ...(await tryOut(api, "train_subagent_model", { ...request, mode })),
    })),
  );
}
