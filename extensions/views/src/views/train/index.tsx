/** Begins a training: for whom, on what, how; at which price in each mode. */

import "./train.css";

import {
  type AgentServing,
  answered,
  type Api,
  CHOICES,
  type DescribedFields,
  type ListedDataset,
  type PlannedChange,
  priceTraining,
  type TrainSubagentModel,
} from "@codechef/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useHost } from "../../context.js";
import { type Given, readAll } from "../../given.js";
import { both, Loaded, useDescribed, useLoaded } from "../../loaded.js";
import { Asked, Begin, type Choices, Facts, Field, Select } from "../../parts/index.js";
import { useTried } from "../../tried.js";
import { Modes } from "./modes.js";
import { NewDataset } from "./new_dataset.js";
import { SETTINGS, Settings, settingsOf } from "./settings.js";

interface Known {
  agents: AgentServing[];
  datasets: ListedDataset[];
}

async function look(api: Api, signal: AbortSignal): Promise<Known> {
  const [{ agents }, { datasets }] = await Promise.all([
    answered(api.GET("/overview", { signal })),
    answered(api.POST("/modelops/list_datasets", { body: {}, signal })),
  ]);
  return { agents, datasets };
}

export function Train(): JSX.Element {
  const known = useLoaded(look, "");
  const described = useDescribed();
  return (
    <Loaded of={both(known, described)}>
      {([all, fieldsOf]) => (
        <Form
          {...all}
          fields={fieldsOf("TrainSubagentModel")}
          datasetFields={fieldsOf("BuildDataset")}
        />
      )}
    </Loaded>
  );
}

const CHOICES_OF: Readonly<Record<string, Choices>> = CHOICES.train_subagent_model;
/** Asked for on demand. */
const MORE = ["base_model", "engine", "backend"];
/** Fields of a request whose values are texts, also such that look like numbers. */
const TEXTS = { method: "", base_model: "", engine: "", backend: "", override_reason: "" };

function Form({
  agents,
  datasets,
  fields,
  datasetFields,
}: Known & { fields: DescribedFields; datasetFields: DescribedFields }): JSX.Element {
  const { params } = useHost();
  const [given, setGiven] = useState<Given>(params);
  const [settings, setSettings] = useState<Record<string, string>>({});
  const give = (name: string, text: string): void => setGiven((old) => ({ ...old, [name]: text }));

  const { agent = agents[0]?.agent ?? "", dataset: named, mode: chosen, ...rest } = given;
  const own = datasets.filter((one) => one.agent === agent);
  const dataset = own.find((one) => one.dataset === named) ?? own[0];
  const request = {
    ...readAll(rest, TEXTS),
    agent,
    dataset: dataset?.dataset ?? null,
    overrides: readAll(settings, {}),
  } as TrainSubagentModel;
  const { value: priced, current } = useTried(
    (api) => priceTraining(api, request),
    JSON.stringify(request),
  );
  const one = priced?.find(({ mode }) => mode === (chosen ?? fields["mode"]?.default));
  const asked = (name: string): JSX.Element => (
    <Asked
      key={name}
      name={name}
      described={fields[name]}
      choices={CHOICES_OF[name]}
      problem={one?.problem}
      value={given[name] ?? ""}
      give={(text) => give(name, text)}
    />
  );
  return (
    <div class="form">
      <div class="fields">
        <Field name="agent" problem={one?.problem}>
          {(control) => (
            <Select
              control={control}
              value={agent}
              choices={agents.map(({ agent: name }) => ({ value: name, label: name }))}
              choose={(name) => give("agent", name)}
            />
          )}
        </Field>
        <Field name="dataset" label="data set" described={fields["dataset"]} problem={one?.problem}>
          {(control) => (
            <Select
              control={control}
              value={dataset?.dataset ?? ""}
              choices={own.map((each) => ({ value: each.dataset, label: labelOf(each) }))}
              {...(own.length === 0 ? { otherwise: "none" } : {})}
              choose={(name) => give("dataset", name)}
            />
          )}
        </Field>
        {asked("method")}
        {asked("max_examples")}
      </div>
      <NewDataset agent={agent} lacking={own.length === 0} fields={datasetFields} />
      <details class="more">
        <summary>Base model, engine, backend</summary>
        <div class="fields">{MORE.map(asked)}</div>
      </details>
      <Settings
        usual={settingsOf(priced)}
        given={settings}
        give={(name, text) => setSettings((old) => ({ ...old, [name]: text }))}
        problem={one?.problem}
      />
      <Modes
        priced={priced}
        current={current}
        chosen={one?.mode}
        choose={(mode) => give("mode", mode)}
      />
      {one?.planned?.objection || given["override_reason"] ? asked("override_reason") : null}
      <Begin
        label="Train"
        useCase="train_subagent_model"
        request={{ ...request, ...(one ? { mode: one.mode } : {}) }}
        planned={current ? one?.planned : undefined}
      />
      {one?.planned === undefined ? null : (
        <details class="more">
          <summary>What belongs to it</summary>
          <Facts of={others(one.planned.details)} />
        </details>
      )}
    </div>
  );
}

/** What does not stand in the fields already. */
function others(details: PlannedChange["details"]): PlannedChange["details"] {
  return Object.fromEntries(Object.entries(details).filter(([name]) => name !== SETTINGS));
}

/** E.g. `errors-1 · 48 train · 12 test`. */
function labelOf({ dataset, counts }: ListedDataset): string {
  const parts = Object.entries(counts).map(([split, count]) => `${count} ${split}`);
  return [dataset, ...parts].join(" · ");
}
