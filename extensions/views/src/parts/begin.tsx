import {
  ask,
  ChefProblem,
  type PlannedChange,
  type RequestOf,
  type ResultOf,
} from "@codechef/client";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { useHost, useMay } from "../context.js";
import { ProblemBox } from "./problem.js";

/** The use cases that begin a job. */
type BeginsJob = "train_subagent_model" | "evaluate_model_vs_baseline";

/** Begins a job as it was tried, then shows it, or the approval that it waits for. */
export function Begin<U extends BeginsJob>({
  label,
  useCase,
  request,
  planned,
}: {
  label: string;
  useCase: U;
  request: RequestOf<U>;
  /** What the server says of exactly this request; undefined as long as it has not. */
  planned: PlannedChange | undefined;
}): JSX.Element | null {
  const { api, navigate } = useHost();
  const may = useMay("change");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ChefProblem>();
  useEffect(() => setProblem(undefined), [JSON.stringify(request)]); // it was about another one
  const begin = async (): Promise<void> => {
    setBusy(true);
    setProblem(undefined);
    try {
      const answer = await ask(api, useCase, request);
      if (answer.kind === "waits") {
        const { approval_id } = answer.waits;
        navigate({ view: "approval", params: { approval_id } });
      } else {
        const { job_id } = answer.result as ResultOf<BeginsJob>;
        navigate({ view: "job", params: { job_id } });
      }
    } catch (error) {
      if (!(error instanceof ChefProblem)) throw error;
      setProblem(error);
    } finally {
      setBusy(false);
    }
  };
  if (!may) return null;
  const ready = planned !== undefined && !planned.objection;
  return (
    <>
      <div class="actions">
        <button
          type="button"
          class="primary"
          disabled={!ready || busy}
          onClick={() => void begin()}
        >
          {planned?.approval_needed ? "Ask for approval" : label}
        </button>
        {planned?.approval_needed ? (
          <span class="soft">Somebody has to approve it before anything happens.</span>
        ) : null}
      </div>
      {problem === undefined ? null : <ProblemBox problem={problem} />}
    </>
  );
}
