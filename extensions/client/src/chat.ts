/** A turn with `@chef`: what is said goes out once, its events come until the turn ends. */

import { answered, type Api } from "./client.js";
import { ChefProblem } from "./problem.js";
import { eventsOf, follow, type StreamData } from "./streams.js";

/** An event of a conversation: see `type`. */
export type ChatEvent = StreamData<"/chat/{thread_id}/events">;

export interface TurnOptions {
  signal?: AbortSignal;
  /** Told when the connection has broken off and is tried again, and when it is live again. */
  onState?: (state: "live" | "reconnecting") => void;
}

/**
 * Says something; yields the events of the turn, the last of them `end`.
 *
 * The first event names the thread, which a next turn goes on with. A connection that breaks off
 * after that is taken up again: nothing is said twice. Throws a ChefProblem.
 */
export async function* send(
  api: Api,
  message: string,
  threadId: string | undefined,
  options: TurnOptions = {},
): AsyncGenerator<ChatEvent, void, undefined> {
  const { response, error } = await api.POST("/chat", {
    body: { message, ...(threadId === undefined ? {} : { thread_id: threadId }) },
    parseAs: "stream",
    signal: options.signal ?? null,
  });
  if (!response.ok) throw ChefProblem.of(response.status, error);
  yield* turn(api, response, options);
}

/** Goes on with a thread whose approval was answered; yields the events until the turn ends. */
export async function* resume(
  api: Api,
  threadId: string,
  approvalId: string,
  options: TurnOptions = {},
): AsyncGenerator<ChatEvent, void, undefined> {
  const { response, error } = await api.POST("/chat/{thread_id}/resume", {
    params: { path: { thread_id: threadId } },
    body: { approval_id: approvalId },
    parseAs: "stream",
    signal: options.signal ?? null,
  });
  if (!response.ok) throw ChefProblem.of(response.status, error);
  yield* turn(api, response, options);
}

/** Ends the turn of a thread: agents begin nothing more; a job goes on. Throws a ChefProblem. */
export async function stop(api: Api, threadId: string): Promise<void> {
  await answered(api.POST("/chat/{thread_id}/stop", { params: { path: { thread_id: threadId } } }));
}

async function* turn(
  api: Api,
  response: Response,
  { signal, onState }: TurnOptions,
): AsyncGenerator<ChatEvent, void, undefined> {
  let thread: string | undefined;
  let last: string | undefined;
  let broken: ChefProblem | undefined;
  const heard = new Heard();
  const signalled = signal === undefined ? {} : { signal };
  try {
    for await (const { data, id } of eventsOf<ChatEvent>(response, signalled)) {
      if (data.type === "thread") thread = data.thread_id;
      last = id ?? last;
      yield* heard.anew(data);
      if (data.type === "end") return;
    }
  } catch (error) {
    if (!(error instanceof ChefProblem) || !error.passing) throw error;
    broken = error;
  }
  if (signal?.aborted) return;
  // Before the turn's first number its events cannot be told from those of earlier turns.
  if (thread === undefined || last === undefined) {
    throw broken ?? ChefProblem.unreachable(response.url);
  }
  onState?.("reconnecting");
  const rest = follow(api, "/chat/{thread_id}/events", {
    path: { thread_id: thread },
    lastEventId: last,
    ...signalled,
    onState: (state) => {
      if (state === "live") heard.again();
      onState?.(state);
    },
  });
  for await (const { data } of rest) {
    if (data.type === "thread") continue;
    yield* heard.anew(data);
    if (data.type === "end") return;
  }
}

/**
 * What was heard of the messages that are being written: tokens have no number, so a connection
 * that is taken up again begins with all those since the last event that has one.
 */
class Heard {
  /** By message id, the characters since the last numbered event. */
  private readonly characters = new Map<string, number>();
  /** By message id, how many of them come once more. */
  private repeated = new Map<string, number>();

  /** The connection is taken up again. */
  again(): void {
    this.repeated = new Map(this.characters);
  }

  /** Yields what is new of an event. */
  *anew(event: ChatEvent): Generator<ChatEvent, void, undefined> {
    if (event.type !== "token") {
      this.characters.clear();
      this.repeated.clear();
      yield event;
      return;
    }
    const { message_id: id, text } = event;
    const repeated = Math.min(this.repeated.get(id) ?? 0, text.length);
    this.repeated.set(id, (this.repeated.get(id) ?? 0) - repeated);
    if (repeated === text.length) return;
    this.characters.set(id, (this.characters.get(id) ?? 0) + text.length - repeated);
    yield { ...event, text: text.slice(repeated) };
  }
}
