import type { JSX } from "preact";

import { words } from "../format.js";
import { Text } from "./text.js";

/** Values of the server's by their names; what is null or empty is left out. */
export function Facts({ of }: { of: Readonly<Record<string, unknown>> }): JSX.Element | null {
  const known = Object.entries(of).filter(([, value]) => !isEmpty(value));
  if (known.length === 0) return null;
  return (
    <dl class="record">
      {known.map(([name, value]) => (
        <div key={name}>
          <dt>{words(name)}</dt>
          <dd>
            <Text>{written(value)}</Text>
          </dd>
        </div>
      ))}
    </dl>
  );
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

function written(value: unknown): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) {
    return value.every((one) => typeof one !== "object") ? value.join(", ") : JSON.stringify(value);
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return Object.entries(value)
    .filter(([, one]) => !isEmpty(one))
    .map(([name, one]) => `${words(name)} ${written(one)}`)
    .join(" · ");
}
