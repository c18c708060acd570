import type { DescribedFields } from "@codechef/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { Asked, Change } from "../../parts/index.js";

/** Builds the first data set of an agent, who lacks one; the form shows it as soon as it is there. */
export function NewDataset({
  agent,
  lacking,
  fields,
}: {
  agent: string;
  lacking: boolean;
  fields: DescribedFields;
}): JSX.Element {
  const [source, setSource] = useState("");
  const request = { agent, ...(source.trim() === "" ? {} : { source: source.trim() }) };
  return (
    <div class="actions">
      <Change label="Build a data set" offered={lacking} useCase="build_dataset" request={request}>
        <Asked name="source" described={fields["source"]} value={source} give={setSource} />
      </Change>
    </div>
  );
}
