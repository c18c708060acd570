/** Server-sent events of the API: typed by its document, taken up again where they broke off. */

import { createParser, type EventSourceMessage } from "eventsource-parser";

import type { Api } from "./client.js";
import { ChefProblem } from "./problem.js";
import type { paths } from "./schema.js";

/** Without a byte for so long a connection counts as dead; the server sends one every 15 s. */
export const SILENCE_MS = 45_000;

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

type Streamed<P> = P extends {
  get: { responses: { 200: { content: { "text/event-stream": infer Data } } } };
}
  ? Exclude<Data, string> // the document also says that the body is text, which it is
  : never;

/** The paths that can be followed. */
export type StreamPath = {
  [P in keyof paths]: [Streamed<paths[P]>] extends [never] ? never : P;
}[keyof paths];

/** What the events of a path carry. */
export type StreamData<P extends StreamPath> = Streamed<paths[P]>;

/** One event. */
export interface ServerEvent<Data> {
  event: string;
  data: Data;
  /** Its number; absent where events are not kept. */
  id?: string;
}

export interface FollowOptions {
  path?: Record<string, string>;
  query?: Record<string, string | number>;
  lastEventId?: string;
  signal?: AbortSignal;
  /** Told when the stream is live, and when it has broken off and is tried again. */
  onState?: (state: "live" | "reconnecting", why?: ChefProblem) => void;
  silenceMs?: number;
}

/**
 * Follows a stream for as long as its reader wants: break out of the loop, or abort, to end it.
 *
 * A stream that breaks off or ends is taken up again after its last event, with growing pauses.
 * Throws a ChefProblem that waiting does not mend: a wrong token, something that does not exist.
 */
export async function* follow<P extends StreamPath>(
  api: Api,
  path: P,
  options: FollowOptions = {},
): AsyncGenerator<ServerEvent<StreamData<P>>, void, undefined> {
  const { signal, onState } = options;
  let { lastEventId } = options;
  let wait = FIRST_WAIT_MS;
  while (!signal?.aborted) {
    let why: ChefProblem | undefined;
    try {
      const response = await open(api, path, options, lastEventId);
      onState?.("live");
      for await (const event of eventsOf<StreamData<P>>(response, options)) {
        wait = FIRST_WAIT_MS;
        lastEventId = event.id ?? lastEventId;
        yield event;
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (!(error instanceof ChefProblem) || !error.passing) throw error;
      why = error;
    }
    onState?.("reconnecting", why);
    await pause(wait, signal);
    wait = Math.min(2 * wait, LONGEST_WAIT_MS);
  }
}

/** Returns the events of one answer, until it ends. Throws the ChefProblem that an `error` carries. */
export async function* eventsOf<Data>(
  response: Response,
  { silenceMs = SILENCE_MS, signal }: Pick<FollowOptions, "silenceMs" | "signal"> = {},
): AsyncGenerator<ServerEvent<Data>, void, undefined> {
  for await (const { event = "message", data, id } of messagesOf(response, silenceMs, signal)) {
    const value: unknown = JSON.parse(data);
    if (event === "error" && isProblem(value)) throw ChefProblem.of(0, value);
    yield { event, data: value as Data, ...(id === undefined ? {} : { id }) };
  }
}

async function open(
  api: Api,
  path: StreamPath,
  options: FollowOptions,
  lastEventId: string | undefined,
): Promise<Response> {
  // The paths that can be followed differ in their parameters, which a union of them cannot name.
  const get = api.GET as unknown as (
    path: string,
    init: unknown,
  ) => Promise<{ response: Response; error?: unknown }>;
  const { response, error } = await get(path, {
    params: { path: options.path ?? {}, query: options.query ?? {} },
    headers: lastEventId === undefined ? {} : { "Last-Event-ID": lastEventId },
    parseAs: "stream",
    signal: options.signal ?? null,
  });
  if (!response.ok) throw ChefProblem.of(response.status, error);
  return response;
}

/** Returns the server-sent events of an answer as they are, until it ends or falls silent. */
export async function* messagesOf(
  response: Response,
  silenceMs: number,
  signal?: AbortSignal,
): AsyncGenerator<EventSourceMessage, void, undefined> {
  const parsed: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => parsed.push(message) });
  if (response.body === null) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await unlessSilent(reader.read(), response.url, silenceMs, signal);
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      yield* parsed.splice(0);
    }
  } finally {
    // Whoever stops reading hangs up; that a broken connection cannot be hung up is no news.
    await reader.cancel().catch(() => undefined);
  }
}

/**
 * Returns what is read, unless nothing comes for so long, or the signal says to stop.
 *
 * The signal went out with the request, but Node forgets it once the `Request` is collected
 * (undici holds what passes it on by a weak reference): a stream that runs on would not end by it.
 */
async function unlessSilent<T>(
  read: Promise<T>,
  url: string,
  silenceMs: number,
  signal: AbortSignal | undefined,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stop: () => void = () => undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(ChefProblem.unreachable(url)), silenceMs);
    stop = () => reject(signal?.reason as Error);
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
  });
  try {
    return await Promise.race([read, ended]);
  } catch (error) {
    if (error instanceof ChefProblem || isAbort(error)) throw error;
    throw ChefProblem.unreachable(url);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", done);
  });
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

function isProblem(value: unknown): boolean {
  return typeof value === "object" && value !== null && "detail" in value && "remedy" in value;
}
