import type { Fetch, Route, ToHost, ToView } from "@codechef/client";
import { signal } from "@preact/signals";

import type { Host } from "./host.js";

/** What the editor gives a webview to speak with. */
export interface EditorApi {
  postMessage: (message: ToHost) => void;
  /** Keeps what a tab shows, so that it comes back after the editor was closed. */
  setState: (state: Route) => void;
}

/** A webview of the editor. Say `ready` when all is listening: the answer is what to show. */
export function webviewHost(window: Window, editor: EditorApi, baseUrl: string): Host {
  const route = signal<Route | undefined>(undefined);
  const bridge = new Bridge(editor);
  window.addEventListener("message", ({ data }: MessageEvent<ToView>) => {
    if (data.type === "show") {
      route.value = { view: data.view, params: data.params };
      editor.setState(route.value);
    } else bridge.take(data);
  });
  editor.postMessage({ type: "ready" });
  return {
    kind: "editor",
    baseUrl,
    fetch: bridge.fetch,
    route,
    seen: signal(true), // the extension has as many connections as it wants
    navigate: (to) => editor.postMessage({ type: "open", ...to }),
    copy: (text) => {
      editor.postMessage({ type: "copy", text });
      return Promise.resolve();
    },
  };
}

interface Waiting {
  url: string;
  settle: (response: Response) => void;
  fail: (error: unknown) => void;
  body?: ReadableStreamDefaultController<Uint8Array>;
}

const BODILESS = [101, 204, 205, 304];

/** A `fetch` whose requests the extension sends. */
class Bridge {
  private readonly waiting = new Map<number, Waiting>();
  private readonly encoder = new TextEncoder();
  private last = 0;

  constructor(private readonly editor: EditorApi) {}

  readonly fetch: Fetch = async (request) => {
    const { pathname, search } = new URL(request.url);
    const body = request.method === "GET" ? null : await request.text();
    request.signal.throwIfAborted();
    const id = ++this.last;
    const answer = new Promise<Response>((settle, fail) => {
      this.waiting.set(id, { url: request.url, settle, fail });
    });
    request.signal.addEventListener("abort", () => this.cancel(id, request.signal.reason));
    this.editor.postMessage({
      type: "request",
      id,
      method: request.method,
      path: pathname + search,
      headers: Object.fromEntries(request.headers),
      body,
    });
    return answer;
  };

  take(message: Exclude<ToView, { type: "show" }>): void {
    const asked = this.waiting.get(message.id);
    if (asked === undefined) return; // cancelled meanwhile
    switch (message.type) {
      case "head":
        asked.settle(this.answer(message.id, asked, message.status, message.headers));
        break;
      case "chunk":
        asked.body?.enqueue(this.encoder.encode(message.data));
        break;
      case "end":
        this.waiting.delete(message.id);
        asked.body?.close();
        break;
      case "failed":
        this.end(message.id, new TypeError("The request failed."));
        break;
    }
  }

  private answer(
    id: number,
    asked: Waiting,
    status: number,
    headers: Record<string, string>,
  ): Response {
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        asked.body = controller;
      },
      cancel: () => this.cancel(id, undefined),
    });
    const response = new Response(BODILESS.includes(status) ? null : stream, { status, headers });
    // What a Response of the platform says about itself.
    Object.defineProperty(response, "url", { value: asked.url });
    return response;
  }

  private cancel(id: number, reason: unknown): void {
    if (!this.waiting.has(id)) return;
    this.editor.postMessage({ type: "cancel", id });
    this.end(id, reason);
  }

  private end(id: number, error: unknown): void {
    const asked = this.waiting.get(id);
    this.waiting.delete(id);
    asked?.fail(error);
    if (error !== undefined) asked?.body?.error(error);
  }
}
