/** What the server's document says of what a use case takes, for whoever asks a person for it. */

import { answered, type Api } from "./client.js";

/** A field of a request. */
export interface DescribedField {
  description?: string;
  default?: unknown;
}

/** The fields of a request, by their names. */
export type DescribedFields = Readonly<Record<string, DescribedField>>;

/** Returns what describes a request by its name in the document, e.g. `TrainSubagentModel`. */
export async function describedRequests(
  api: Api,
  signal: AbortSignal,
): Promise<(request: string) => DescribedFields> {
  // The document describes the paths; it is none of them.
  const get = api.GET as unknown as (
    path: string,
    init: { signal: AbortSignal },
  ) => Promise<{ data?: unknown; error?: unknown; response: Response }>;
  const { components } = (await answered(get("/openapi.json", { signal }))) as {
    components: { schemas: Record<string, { properties?: DescribedFields }> };
  };
  return (request) => components.schemas[request]?.properties ?? {};
}
