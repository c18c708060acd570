/** One stream of what is done on the server, for everything that is shown. */

import { type Activity, type Api, ChefProblem, follow } from "@codechef/client";
import { type ReadonlySignal, signal } from "@preact/signals";

export type Connection = "live" | "reconnecting";

/** Told of what was done; of nothing in particular after a connection was taken up again. */
export type Listener = (activity: Activity | undefined) => void;

export class Live {
  private readonly now = signal<Connection>("live");
  private readonly listeners = new Set<Listener>();

  get connection(): ReadonlySignal<Connection> {
    return this.now;
  }

  /** Returns what ends the listening. */
  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Follows until aborted, or until the server refuses: who looks is told so by their session. */
  async run(api: Api, ended: AbortSignal): Promise<void> {
    const options = {
      signal: ended,
      onState: (state: Connection): void => {
        const back = state === "live" && this.now.value === "reconnecting";
        this.now.value = state;
        if (back) this.tell(undefined);
      },
    };
    try {
      for await (const { data } of follow(api, "/activity/events", options)) this.tell(data);
    } catch (error) {
      if (!(error instanceof ChefProblem)) throw error;
    }
  }

  private tell(activity: Activity | undefined): void {
    for (const listener of [...this.listeners]) listener(activity);
  }
}
