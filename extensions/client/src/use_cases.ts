/** Use cases of the server: what each takes and gives, as the API's document says. */

import type { Api } from "./client.js";
import { ChefProblem } from "./problem.js";
import type { paths, PlannedChange, WaitsForApproval } from "./schema.js";

type Posted<P extends keyof paths> = NonNullable<paths[P]["post"]>;

/** Name of a use case, e.g. `train_subagent_model`. */
export type UseCase = {
  [P in keyof paths]: P extends `/modelops/${infer Name}` ? Name : never;
}[keyof paths];

/** A use case that changes something: it can be tried dry, and may need an approval. */
export type ChangingUseCase = {
  [U in UseCase]: RequestOf<U> extends { dry_run?: boolean } ? U : never;
}[UseCase];

export type RequestOf<U extends UseCase> =
  Posted<`/modelops/${U}`> extends { requestBody: { content: { "application/json": infer Body } } }
    ? Body
    : never;

export type ResultOf<U extends UseCase> =
  Posted<`/modelops/${U}`> extends {
    responses: { 200: { content: { "application/json": infer Body } } };
  }
    ? Exclude<Body, PlannedChange>
    : never;

/** What became of a request. */
export type Answer<U extends UseCase> =
  { kind: "done"; result: ResultOf<U> } | { kind: "waits"; waits: WaitsForApproval };

/** A server that restarts is back after this, mostly. */
const RESTART_MS = 2_000;

/**
 * Has a use case carried out, or waits for its approval. Throws a ChefProblem.
 *
 * Where the connection breaks off it is asked once more, under the same key: the server does
 * nothing twice for one key.
 */
export async function ask<U extends UseCase>(
  api: Api,
  useCase: U,
  request: RequestOf<U>,
): Promise<Answer<U>> {
  const key = newKey();
  const send = (): ReturnType<typeof post> => post(api, useCase, request as object, { key });
  const { response, data } = await send().catch(async (error: unknown) => {
    if (!(error instanceof ChefProblem) || error.status !== 0) throw error;
    await new Promise((done) => setTimeout(done, RESTART_MS));
    return send();
  });
  if (response.status === 202) return { kind: "waits", waits: data as WaitsForApproval };
  return { kind: "done", result: data as ResultOf<U> };
}

/** 128 random bits; not `randomUUID`, which pages that came without TLS do not have. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns what a use case would do and cost. Throws a ChefProblem. */
export async function plan<U extends ChangingUseCase>(
  api: Api,
  useCase: U,
  request: RequestOf<U>,
): Promise<PlannedChange> {
  const { data } = await post(api, useCase, { ...(request as object), dry_run: true });
  return data as PlannedChange;
}

/** What a use case would do and cost, or why the server would not do it. */
export type Tried =
  { planned: PlannedChange; problem?: never } | { planned?: never; problem: ChefProblem };

/** Tries a use case dry. */
export async function tryOut<U extends ChangingUseCase>(
  api: Api,
  useCase: U,
  request: RequestOf<U>,
): Promise<Tried> {
  try {
    return { planned: await plan(api, useCase, request) };
  } catch (error) {
    if (error instanceof ChefProblem) return { problem: error };
    throw error;
  }
}

/** Asks for a use case; returns the answer as it came. Throws a ChefProblem. */
export async function post(
  api: Api,
  useCase: UseCase,
  body: object,
  { key, signal }: { key?: string; signal?: AbortSignal } = {},
): Promise<{ response: Response; data: unknown }> {
  // The use cases differ in what they take, which a union of their paths cannot name.
  const send = api.POST as unknown as (
    path: string,
    init: { body: object; headers: Record<string, string>; signal: AbortSignal | null },
  ) => Promise<{ response: Response; data?: unknown; error?: unknown }>;
  const { response, data, error } = await send(`/modelops/${useCase}`, {
    body,
    headers: key === undefined ? {} : { "Idempotency-Key": key },
    signal: signal ?? null,
  });
  if (!response.ok) throw ChefProblem.of(response.status, error);
  return { response, data };
}
