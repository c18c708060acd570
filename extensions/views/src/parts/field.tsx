import type { ChefProblem, DescribedField } from "@codechef/client";
import type { JSX } from "preact";
import { useId } from "preact/hooks";

import { words } from "../format.js";
import { written } from "../given.js";

/** What a control bears so that its label, its hint and its fault belong to it. */
export interface Control {
  id: string;
  name: string;
  "aria-describedby": string;
  "aria-invalid": boolean;
}

interface FieldGiven {
  /** In the request, e.g. `overrides.seed`. */
  name: string;
  label?: string;
  described?: DescribedField | undefined;
  /** What the server refused, be it about this field or another. */
  problem?: ChefProblem | undefined;
}

/** A value that is asked for: what it is and what is wrong with it stand beside it, in the server's words. */
export function Field({
  name,
  label = words(name),
  described,
  problem,
  children,
}: FieldGiven & { children: (control: Control) => JSX.Element }): JSX.Element {
  const id = useId();
  const fault = problem?.about(name);
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({
        id,
        name,
        "aria-describedby": `${id}-fault ${id}-hint`,
        "aria-invalid": fault !== undefined,
      })}
      <p id={`${id}-fault`} class="fault" aria-live="polite" dir="auto">
        {fault === undefined ? "" : `${fault} ${problem?.remedy ?? ""}`}
      </p>
      <p id={`${id}-hint`} class="hint">
        {described?.description}
      </p>
    </div>
  );
}

/** The values of a field, as the client lists them. */
export type Choices = readonly { value: string; description: string }[];

interface AskedGiven extends FieldGiven {
  value: string;
  give: (text: string) => void;
  /** Said while it is left empty; the server's default when left out. */
  otherwise?: string;
  /** All that it may be, where that is a list. */
  choices?: Choices | undefined;
  /** What is often meant. */
  suggested?: readonly string[];
}

/** A text field; a list where the server names all that it may be. */
export function Asked({
  value,
  give,
  otherwise,
  choices,
  suggested = [],
  ...field
}: AskedGiven): JSX.Element {
  const usual = written(field.described?.default);
  const isChoice = choices?.some((one) => one.value === usual) ?? false;
  return (
    <Field {...field}>
      {(control) =>
        choices === undefined ? (
          <>
            <input
              {...control}
              {...(suggested.length === 0 ? {} : { list: `${control.id}-list` })}
              value={value}
              placeholder={otherwise ?? usual}
              autocomplete="off"
              spellcheck={false}
              onInput={({ currentTarget }) => give(currentTarget.value)}
            />
            <datalist id={`${control.id}-list`}>
              {suggested.map((one) => (
                <option key={one} value={one} />
              ))}
            </datalist>
          </>
        ) : (
          <Select
            control={control}
            value={value === "" && isChoice ? usual : value}
            choices={choices.map((one) => ({ value: one.value, label: one.value }))}
            {...(isChoice ? {} : { otherwise: "as the server has it" })}
            choose={give}
          />
        )
      }
    </Field>
  );
}

/** One of several; `otherwise` says what it means to choose none. */
export function Select({
  control,
  value,
  choices,
  otherwise,
  choose,
}: {
  control: Control;
  value: string;
  choices: readonly { value: string; label: string }[];
  otherwise?: string;
  choose: (value: string) => void;
}): JSX.Element {
  return (
    <select
      {...control}
      value={value}
      onChange={({ currentTarget }) => choose(currentTarget.value)}
    >
      {otherwise === undefined ? null : <option value="">{otherwise}</option>}
      {choices.map((one) => (
        <option key={one.value} value={one.value}>
          {one.label}
        </option>
      ))}
    </select>
  );
}
