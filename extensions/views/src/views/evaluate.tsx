/** Begins an evaluation: which candidate against what, on what, at which price. */

import {
  type AgentServing,
  answered,
  type Api,
  type DescribedFields,
  type EvaluateModelVsBaseline,
  type ListedDataset,
  type ModelVersion,
  type Registry,
  tryOut,
} from "@codechef/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useHost } from "../context.js";
import { number, words } from "../format.js";
import { type Given, readAll } from "../given.js";
import { both, Loaded, useDescribed, useLoaded } from "../loaded.js";
import { Asked, Begin, Field, Planned, ProblemBox, Select } from "../parts/index.js";
import { useTried } from "../tried.js";

interface Known {
  agents: AgentServing[];
  registry: Registry["agents"];
  datasets: ListedDataset[];
}

async function look(api: Api, signal: AbortSignal): Promise<Known> {
  const [{ agents }, { agents: registry }, { datasets }] = await Promise.all([
    answered(api.GET("/overview", { signal })),
    answered(api.GET("/registry", { signal })),
    answered(api.POST("/modelops/list_datasets", { body: {}, signal })),
  ]);
  return { agents, registry, datasets };
}

export function Evaluate(): JSX.Element {
  const known = useLoaded(look, "");
  const described = useDescribed();
  return (
    <Loaded of={both(known, described)}>
      {([all, fieldsOf]) => <Form {...all} fields={fieldsOf("EvaluateModelVsBaseline")} />}
    </Loaded>
  );
}

/** Asked for on demand. */
const MORE = ["max_examples", "repetitions", "judge"];
/** Fields of a request whose values are texts, also such that look like numbers. */
const TEXTS = { candidate: "", baseline: "", dataset: "", judge: "" };

function Form({
  agents,
  registry,
  datasets,
  fields,
}: Known & { fields: DescribedFields }): JSX.Element {
  const { params } = useHost();
  const [given, setGiven] = useState<Given>(params);
  const give = (name: string, text: string): void => setGiven((old) => ({ ...old, [name]: text }));

  const { agent = agents[0]?.agent ?? "", ...rest } = given;
  const serving = agents.find((one) => one.agent === agent);
  const versions = [...(registry[agent]?.history ?? [])].reverse(); // kept oldest first
  const request = { ...readAll(rest, TEXTS), agent } as EvaluateModelVsBaseline;
  const { value, current, again } = useTried(
    (api) => tryOut(api, "evaluate_model_vs_baseline", request),
    JSON.stringify(request),
  );
  const { planned, problem } = value ?? {};
  const asked = (name: string, more: { otherwise?: string; suggested?: string[] } = {}) => (
    <Asked
      key={name}
      name={name}
      described={fields[name]}
      problem={problem}
      value={given[name] ?? ""}
      give={(text) => give(name, text)}
      {...more}
    />
  );
  return (
    <div class="form">
      <div class="fields">
        <Field name="agent" problem={problem}>
          {(control) => (
            <Select
              control={control}
              value={agent}
              choices={agents.map(({ agent: name }) => ({ value: name, label: name }))}
              choose={(name) => setGiven({ agent: name })}
            />
          )}
        </Field>
        <Field name="candidate" described={fields["candidate"]} problem={problem}>
          {(control) => (
            <Select
              control={control}
              value={given["candidate"] ?? ""}
              choices={versions.map((one) => ({ value: one.version, label: labelOf(one) }))}
              otherwise={serving?.newest ?? "none"}
              choose={(version) => give("candidate", version)}
            />
          )}
        </Field>
        {asked("baseline", {
          otherwise: [serving?.model, serving?.version].filter(Boolean).join(" "),
          suggested: versions.map(({ version }) => version),
        })}
        <Field name="dataset" label="data set" described={fields["dataset"]} problem={problem}>
          {(control) => (
            <Select
              control={control}
              value={given["dataset"] ?? ""}
              choices={datasets
                .filter((one) => one.agent === agent)
                .map((one) => ({ value: one.dataset, label: one.dataset }))}
              otherwise="as the server has it"
              choose={(name) => give("dataset", name)}
            />
          )}
        </Field>
      </div>
      <details class="more">
        <summary>Size, repetitions, judge</summary>
        <div class="fields">{MORE.map((name) => asked(name))}</div>
      </details>
      <div aria-live="polite" aria-busy={!current}>
        {value === undefined ? <p class="loading">Asking what would happen …</p> : null}
        {planned === undefined ? null : (
          <div class="card">
            <Planned of={planned} />
          </div>
        )}
        {problem === undefined ? null : <ProblemBox problem={problem} retry={again} />}
      </div>
      <Begin
        label="Evaluate"
        useCase="evaluate_model_vs_baseline"
        request={request}
        planned={current ? planned : undefined}
      />
    </div>
  );
}

/** E.g. `v1.1.0 · deployed · accuracy 0.93`. */
function labelOf({ version, deployment_status: status, eval_scores }: ModelVersion): string {
  const accuracy = eval_scores?.accuracy ?? null;
  const measured = accuracy === null ? "not evaluated" : `accuracy ${number(accuracy, 3)}`;
  return [version, words(status), measured].join(" · ");
}
