/** Puts the candidate of an evaluation in front of its agent's traffic. */

import { CHOICES, type EvaluationResult } from "@codechef/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { words } from "../../format.js";
import { Change } from "../../parts/index.js";

const { strategy: STRATEGIES } = CHOICES.deploy_model_to_agent;

export function Deploy({
  found,
  version,
}: {
  found: EvaluationResult;
  version: string;
}): JSX.Element {
  const { agent, recommendation } = found;
  const [strategy, setStrategy] = useState("");
  const [reason, setReason] = useState("");
  const request = {
    agent,
    version,
    ...(strategy === "" ? {} : { strategy }),
    ...(reason === "" ? {} : { override_reason: reason }),
  };
  return (
    <div class="actions">
      <Change
        label={`Deploy ${version}`}
        primary={recommendation !== "reject"}
        danger={recommendation === "reject"}
        useCase="deploy_model_to_agent"
        request={request}
      >
        <p>
          <label>
            Strategy{" "}
            <select
              value={strategy}
              onChange={({ currentTarget }) => setStrategy(currentTarget.value)}
            >
              <option value="">as the server has it</option>
              {STRATEGIES.map(({ value, description }) => (
                <option key={value} value={value} title={description}>
                  {words(value)}
                </option>
              ))}
            </select>
          </label>
        </p>
        {recommendation === "reject" ? (
          <p>
            <label>
              Why it is to be deployed all the same
              <input
                value={reason}
                onChange={({ currentTarget }) => setReason(currentTarget.value)}
              />
            </label>
          </p>
        ) : null}
      </Change>
    </div>
  );
}
