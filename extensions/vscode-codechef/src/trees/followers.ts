import { type Api, ChefProblem, follow, type StreamData, type StreamPath } from "@codechef/client";
import type * as vscode from "vscode";

/** Follows several things of one kind at a time, and keeps the last report of each. */
export class Followers<P extends StreamPath> implements vscode.Disposable {
  private readonly running = new Map<string, AbortController>();
  readonly last = new Map<string, StreamData<P>>();

  /**
   * @param parameter Its parameter, which names the thing.
   */
  constructor(
    private readonly api: () => Api,
    private readonly path: P,
    private readonly parameter: string,
    /** Whether there is nothing more to come after a report. */
    private readonly isLast: (report: StreamData<P>) => boolean,
    private readonly onReport: () => void,
  ) {}

  /** Follows exactly these from now on. */
  only(ids: readonly string[]): void {
    for (const [id, stopping] of this.running) {
      if (ids.includes(id)) continue;
      stopping.abort();
      this.forget(id);
    }
    for (const id of ids) if (!this.running.has(id)) void this.follow(id);
  }

  dispose(): void {
    this.only([]);
  }

  private async follow(id: string): Promise<void> {
    const stopping = new AbortController();
    this.running.set(id, stopping);
    const options = { path: { [this.parameter]: id }, signal: stopping.signal };
    try {
      for await (const { data } of follow(this.api(), this.path, options)) {
        this.last.set(id, data);
        this.onReport();
        if (this.isLast(data)) return;
      }
    } catch (error) {
      // What cannot be followed any more stands without a report; the server's state tells why.
      if (!(error instanceof ChefProblem)) throw error;
    } finally {
      // Meanwhile another may follow the same.
      if (this.running.get(id) === stopping) this.forget(id);
    }
  }

  private forget(id: string): void {
    this.running.delete(id);
    this.last.delete(id);
  }
}
