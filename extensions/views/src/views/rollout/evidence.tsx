import type { JSX } from "preact";
import { useMemo } from "preact/hooks";

import { LinePlot } from "../../plots/index.js";
import { evidencePlots, splitPlot, type Told } from "./plots.js";

/** How the evidence came to be what it is. */
export function Evidence({ of, arms }: { of: Told; arms: readonly string[] }): JSX.Element {
  const names = arms.join("\n");
  const plots = useMemo(() => [...evidencePlots(of, arms), splitPlot(of)], [of, names]);
  return (
    <section aria-labelledby="evidence">
      <h2 id="evidence">How the evidence grew</h2>
      {of.points.length < 2 ? (
        <p class="empty">There is too little to draw yet.</p>
      ) : (
        <div class="plots">
          {plots.map((plot) => (
            <LinePlot key={plot.title} {...plot} />
          ))}
        </div>
      )}
    </section>
  );
}
