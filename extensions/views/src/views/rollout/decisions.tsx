import type { DecisionRecord } from "@codechef/client";
import type { JSX } from "preact";

import { words } from "../../format.js";
import { Text, Time } from "../../parts/index.js";

/** Who decided what, newest first. */
export function Decisions({ of }: { of: DecisionRecord[] }): JSX.Element {
  return (
    <section aria-labelledby="decisions">
      <h2 id="decisions">Who decided what</h2>
      {of.length === 0 ? <p class="empty">Nothing was decided yet.</p> : null}
      <ol class="decisions" reversed>
        {[...of].reverse().map((one) => (
          <li key={`${one.at} ${one.kind}`}>
            <p>
              <b>{words(one.kind)}</b> by <bdi>{one.actor}</bdi>, <Time at={one.at} />
            </p>
            <p>
              <Text>{one.message}</Text>
            </p>
            {Object.keys(one.evidence).length === 0 ? null : (
              <details>
                <summary>Evidence</summary>
                <Text code long={4000}>
                  {JSON.stringify(one.evidence, null, 2)}
                </Text>
              </details>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}
