/** One version: how it was trained, how it did, what was written about it. */

import type { ModelVersion } from "@codechef/client";
import type { ComponentChildren, JSX } from "preact";

import { moment, number, significant, words } from "../../format.js";
import { Badge, JobLink, Link, Name, State, Text } from "../../parts/index.js";

export function Version({ agent, version }: { agent: string; version: ModelVersion }): JSX.Element {
  const { parent_version, changelog, notes, tags } = version;
  return (
    <section class="version-card" aria-label={`Version ${version.version}`} aria-live="polite">
      <h3>
        <Name>{version.version}</Name> <State of={version.deployment_status} />{" "}
        {tags.map((tag) => (
          <Badge key={tag} tone="plain">
            {tag}
          </Badge>
        ))}
      </h3>
      {changelog === "" ? null : (
        <p>
          <Text>{changelog}</Text>
        </p>
      )}
      {notes === "" ? null : (
        <p class="soft">
          <Text>{notes}</Text>
        </p>
      )}
      <dl class="facts">
        {factsOf(version).map(([title, value]) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {parent_version === null ? null : (
        <p>
          <Link to={{ view: "versions", params: { agent, a: parent_version, b: version.version } }}>
            What changed since <Name>{parent_version}</Name>
          </Link>
        </p>
      )}
    </section>
  );
}

/** What is known, in the order of interest; what is not is left out. */
function factsOf(version: ModelVersion): [string, ComponentChildren][] {
  const { model_id, training_config, eval_scores, trained_at, trained_by, job_id } = version;
  const facts: [string, ComponentChildren][] = [["Model", <Name>{model_id}</Name>]];
  for (const [name, value] of Object.entries(eval_scores ?? {})) {
    if (typeof value === "number") facts.push([words(name), significant(value)]);
    else if (typeof value === "string" && name === "recommendation") {
      facts.push([words(name), words(value)]);
    }
  }
  if (training_config !== null) {
    const { base_model, training_method, training_dataset, learning_rate } = training_config;
    facts.push(["Base model", <Name>{base_model}</Name>]);
    facts.push(["Method", training_method]);
    facts.push(["Data set", <Name>{training_dataset}</Name>]);
    facts.push(["Learning rate", significant(learning_rate)]);
    facts.push(["Epochs", number(training_config.num_epochs, 2)]);
  }
  if (trained_at !== null) facts.push(["Trained", moment(trained_at)]);
  if (trained_by !== null) facts.push(["Trained by", <Name>{trained_by}</Name>]);
  if (version.deployed_at !== null) {
    facts.push(["Deployed", moment(version.deployed_at)]);
  }
  if (version.hub_repo !== null) facts.push(["Repository", <Name>{version.hub_repo}</Name>]);
  if (job_id !== null) {
    facts.push(["Job", <JobLink job_id={job_id} />]);
  }
  return facts;
}
