import type { ChefProblem } from "@codechef/client";
import type { JSX } from "preact";

/** What did not work and what to do next, in the server's words. */
export function ProblemBox({
  problem,
  retry,
}: {
  problem: ChefProblem;
  retry?: () => void;
}): JSX.Element {
  return (
    <div class="problem" role="alert">
      <p class="problem-message" dir="auto">
        {problem.message}
      </p>
      {problem.remedy === "" ? null : (
        <p class="problem-remedy" dir="auto">
          {problem.remedy}
        </p>
      )}
      {retry === undefined ? null : (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}
