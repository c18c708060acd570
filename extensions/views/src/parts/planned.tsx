import type { PlannedChange } from "@codechef/client";
import type { JSX } from "preact";

import { duration, price } from "../format.js";
import { Text } from "./text.js";

/** What the server would do, what it costs, and what stands against it. */
export function Planned({ of }: { of: PlannedChange }): JSX.Element {
  const { summary, estimated_minutes: minutes, approval_needed, afterwards, objection } = of;
  return (
    <>
      <p>
        <Text>{summary}</Text>
      </p>
      <dl class="facts">
        <div>
          <dt>Price</dt>
          <dd>{price(of)}</dd>
        </div>
        {minutes === null ? null : (
          <div>
            <dt>Takes about</dt>
            <dd>{duration(60 * minutes)}</dd>
          </div>
        )}
        <div>
          <dt>Approval</dt>
          <dd>{approval_needed ? "needed" : "not needed"}</dd>
        </div>
      </dl>
      {[afterwards, objection].map((said) =>
        said ? (
          <p key={said}>
            <Text>{said}</Text>
          </p>
        ) : null,
      )}
    </>
  );
}
