/** Sends a view's requests to the server, with the token that the view never sees. */

import { isPath, type ToHost, type ToView } from "@codechef/client";

type Request = Extract<ToHost, { type: "request" }>;

export interface BridgeOptions {
  /** Address of the server now, without a slash at its end. */
  baseUrl: () => string;
  token: () => Thenable<string | undefined>;
  post: (message: ToView) => unknown;
}

/** Headers that a view may set; the rest is the extension's. */
const FROM_VIEW = ["accept", "content-type", "last-event-id", "idempotency-key"];
const METHODS = ["GET", "POST"];

export class Bridge {
  private readonly running = new Map<number, AbortController>();

  constructor(private readonly options: BridgeOptions) {}

  /** Sends one request and passes its answer on, piece by piece. */
  async request(asked: Request): Promise<void> {
    const { id } = asked;
    const stopping = new AbortController();
    this.running.set(id, stopping);
    try {
      await this.pass(asked, stopping.signal);
    } catch (error) {
      // No answer, one that broke off, or one that nobody wants any more.
      if (!(error instanceof TypeError) && !stopping.signal.aborted) throw error;
      if (!stopping.signal.aborted) this.options.post({ type: "failed", id });
    } finally {
      if (this.running.get(id) === stopping) this.running.delete(id);
    }
  }

  cancel(id: number): void {
    this.running.get(id)?.abort();
  }

  /** Hangs up everything: the view is gone, or begins anew. */
  dispose(): void {
    for (const stopping of this.running.values()) stopping.abort();
  }

  private async pass(asked: Request, signal: AbortSignal): Promise<void> {
    const { id, method, path, body } = asked;
    if (!isPath(path) || !METHODS.includes(method)) {
      throw new TypeError(`A view may not ask for ${method} ${path}.`);
    }
    const headers = await this.headers(asked.headers);
    const url = new URL(this.options.baseUrl());
    const response = await fetch(url.origin + path, {
      method,
      headers,
      body,
      signal,
      // A token follows no redirection.
      redirect: "error",
    });
    const heads = Object.fromEntries(response.headers);
    this.options.post({ type: "head", id, status: response.status, headers: heads });
    if (response.body) {
      for await (const data of response.body.pipeThrough(new TextDecoderStream())) {
        this.options.post({ type: "chunk", id, data });
      }
    }
    this.options.post({ type: "end", id });
  }

  private async headers(given: Record<string, string>): Promise<Record<string, string>> {
    const kept = Object.entries(given).filter(([name]) => FROM_VIEW.includes(name.toLowerCase()));
    const token = await this.options.token();
    return { ...Object.fromEntries(kept), ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  }
}
