/** What an evaluation recommends, and why. */

import type { EvaluationResult } from "@codechef/client";
import type { JSX } from "preact";

import { number, percent, signed, words } from "../../format.js";
import { Badge, Name, Text, type Tone, WebLink } from "../../parts/index.js";

const TONES: Record<EvaluationResult["recommendation"], Tone> = {
  deploy: "good",
  deploy_canary: "info",
  needs_review: "warn",
  reject: "bad",
};

export function toneOfRecommendation(recommendation: EvaluationResult["recommendation"]): Tone {
  return TONES[recommendation];
}

export function Verdict({ found }: { found: EvaluationResult }): JSX.Element {
  const { candidate, baseline, improvement_pct, recommendation, reasons } = found;
  return (
    <section aria-label="Recommendation">
      <p class="verdict">
        <Badge tone={toneOfRecommendation(recommendation)}>{words(recommendation)}</Badge>
        <span class="verdict-models">
          <Name>{candidate}</Name>
          {baseline === null ? null : (
            <>
              {" "}
              <span class="soft">against</span> <Name>{baseline}</Name>
            </>
          )}
        </span>
        {improvement_pct === null ? null : (
          <span class="verdict-change">
            <b>{signed(improvement_pct)} %</b> <span class="soft">improvement, weighted</span>
          </span>
        )}
      </p>
      <ul class="reasons">
        {reasons.map((reason, i) => (
          <li key={i}>
            <Text>{reason}</Text>
          </li>
        ))}
      </ul>
      <p class="soft">{measuredOn(found)}</p>
      <Report found={found} />
    </section>
  );
}

function measuredOn(found: EvaluationResult): string {
  const { n_examples, repetitions, failed_calls, cached_calls, examples_needed } = found;
  const asked = repetitions > 1 ? `, each asked ${number(repetitions)} times` : "";
  const parts = [`Measured on ${number(n_examples)} examples${asked}`];
  if (examples_needed !== null) {
    parts.push(`about ${number(examples_needed)} more would settle what is not settled`);
  }
  for (const [of, counts] of [
    ["failed", failed_calls],
    ["paid for before", cached_calls],
  ] as const) {
    const told = Object.entries(counts).filter(([, count]) => count > 0);
    if (told.length > 0) {
      parts.push(`calls ${of}: ${told.map(([side, n]) => `${side} ${number(n)}`).join(", ")}`);
    }
  }
  return `${parts.join("; ")}.`;
}

function Report({ found }: { found: EvaluationResult }): JSX.Element | null {
  const { experiment_url, upload_error } = found;
  if (experiment_url === null && upload_error === null) return null;
  return (
    <p>
      {experiment_url === null ? null : <WebLink url={experiment_url} />}
      {upload_error === null ? null : <Text>{upload_error}</Text>}
    </p>
  );
}

/** A change in per cent, or that there is none to tell. */
export function change(pct: number | null): string {
  return pct === null ? percent(null) : `${signed(pct)} %`;
}
