import { answered, type JobReport, type LossCurve } from "@codechef/client";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import { number, significant } from "../../format.js";
import { Loaded, useLoaded } from "../../loaded.js";
import { LinePlot } from "../../plots/index.js";

const TRAINS = ["training", "trial"];

/** How a training's loss went; nothing for jobs of another kind. */
export function Losses({ report }: { report: JobReport }): JSX.Element | null {
  return TRAINS.includes(report.kind) ? <Curve report={report} /> : null;
}

function Curve({ report: { job_id, current_step, status } }: { report: JobReport }): JSX.Element {
  const curve = useLoaded(
    (api, signal) =>
      answered(api.GET("/jobs/{job_id}/losses", { params: { path: { job_id } }, signal })),
    job_id,
    { when: () => false },
  );
  const { reload } = curve;
  useEffect(reload, [reload, current_step, status]);
  return (
    <Loaded of={curve}>{({ losses }) => <Plot losses={losses as LossCurve["losses"]} />}</Loaded>
  );
}

function Plot({ losses }: Pick<LossCurve, "losses">): JSX.Element {
  const given = useMemo(
    () => ({
      title: "Loss",
      x: { label: "step", values: losses.map(([step]) => step), write: number, whole: true },
      y: { label: "on the training examples", write: (value: number) => significant(value) },
      lines: [{ label: "loss", values: losses.map(([, loss]) => loss) }],
    }),
    [losses],
  );
  if (losses.length === 0) return <p class="empty">There is no loss yet.</p>;
  return <LinePlot {...given} />;
}
