import type { GuardrailStatus, RolloutReport } from "@codechef/client";
import type { JSX } from "preact";

import { number, share, signed, significant, words } from "../../format.js";
import { type Column, Name, State, Swatch, Table } from "../../parts/index.js";

/** What is watched of each candidate, and how far its evidence is from its bounds. */
export function Watches({ of: { guardrails, arms } }: { of: RolloutReport }): JSX.Element {
  const several = arms.length > 2;
  const twoSided = guardrails.some(({ better_e_value }) => better_e_value !== null);
  const place = (name: string): number => arms.findIndex(({ arm }) => arm === name);
  const columns: Column<GuardrailStatus>[] = [
    { title: "Watch", cell: ({ guardrail }) => words(guardrail) },
    ...(several ? [armColumn(place)] : []),
    { title: "Verdict", cell: ({ verdict }) => <State of={verdict} /> },
    { title: "Stable good", numeric: true, cell: (one) => share(one.stable_rate) },
    { title: "Candidate good", numeric: true, cell: (one) => share(one.candidate_rate) },
    { title: "Difference, points", numeric: true, cell: differenceOf },
    {
      title: "Judged",
      numeric: true,
      cell: (one) => `${number(one.stable_n)} / ${number(one.candidate_n)}`,
    },
    {
      title: twoSided ? "Worse, of bound" : "Evidence, of bound",
      numeric: true,
      cell: ({ e_value, threshold }) => against(e_value, threshold),
    },
    ...(twoSided ? [BETTER] : []),
  ];
  return (
    <section aria-labelledby="watches">
      <h2 id="watches">What is watched</h2>
      <Table
        caption="Evidence of each watch that the candidate is worse, beside its bound"
        hideCaption
        empty="Nothing yet."
        rows={guardrails}
        id={({ guardrail, arm }) => `${guardrail} ${arm}`}
        columns={columns}
      />
    </section>
  );
}

function armColumn(place: (arm: string) => number): Column<GuardrailStatus> {
  return {
    title: "Arm",
    cell: ({ arm }) => (
      <span class="pair">
        <Swatch of={place(arm)} />
        <Name>{arm}</Name>
      </span>
    ),
  };
}

const BETTER: Column<GuardrailStatus> = {
  title: "Better, of bound",
  numeric: true,
  cell: ({ better_e_value, better_threshold }) => against(better_e_value, better_threshold),
};

function differenceOf({ difference }: GuardrailStatus): string {
  if (difference === null) return "–";
  return `${signed(100 * difference[0])} … ${signed(100 * difference[1])}`;
}

function against(evidence: number | null, bound: number | null): string {
  return evidence === null ? "–" : `${significant(evidence)} of ${significant(bound)}`;
}
