/** A host whose server is a table of answers; tests change it while it is looked at. */

import type { Route } from "@codechef/client";
import { signal } from "@preact/signals";
import { expect } from "vitest";

import type { Host, TokenStore } from "../../src/host/host.js";

/** JSON, or a whole Response. */
export type Answer = Response | Readonly<Record<string, unknown>>;

export class FakeServer {
  /** By method and path without query, e.g. `GET /overview`; a function sees the request. */
  readonly answers = new Map<string, Answer | ((request: Request) => Answer)>();
  readonly asked: { method: string; path: string; body: unknown; token: string | null }[] = [];
  private readonly streams = new Map<string, ReadableStreamDefaultController<Uint8Array>[]>();

  /** All that is asked meanwhile gets no answer. */
  down = false;

  readonly fetch = async (request: Request): Promise<Response> => {
    const { pathname, search } = new URL(request.url);
    const text = request.method === "GET" ? "" : await request.text();
    this.asked.push({
      method: request.method,
      path: pathname + search,
      body: text === "" ? null : (JSON.parse(text) as unknown),
      token: request.headers.get("authorization"),
    });
    if (this.down) throw new TypeError("fetch failed");
    if (pathname.endsWith("/events")) return this.stream(pathname);
    const found = this.answers.get(`${request.method} ${pathname}`);
    const answer = typeof found === "function" ? found(request) : found;
    if (answer === undefined) return problem(404, `There is no ${pathname} here.`);
    return answer instanceof Response ? answer.clone() : Response.json(answer);
  };

  /** Sends an event to all who follow a path. */
  send(path: string, event: string, data: unknown): void {
    const bytes = new TextEncoder().encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    for (const stream of this.streams.get(path) ?? []) stream.enqueue(bytes);
  }

  /** How many follow a path. */
  followers(path: string): number {
    return this.streams.get(path)?.length ?? 0;
  }

  /** Waits until somebody follows a path. */
  async following(path: string): Promise<void> {
    await expect.poll(() => this.followers(path)).toBeGreaterThan(0);
  }

  /** Ends the streams of a path, as a server does that has no more to say of it. */
  end(path: string): void {
    for (const stream of this.streams.get(path) ?? []) stream.close();
    this.streams.delete(path);
  }

  /** Ends all streams, as a server that stops does. */
  hangUp(): void {
    for (const path of [...this.streams.keys()]) this.end(path);
  }

  private stream(path: string): Response {
    let own: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        own = controller;
        this.streams.set(path, [...(this.streams.get(path) ?? []), controller]);
      },
      cancel: () => {
        const left = (this.streams.get(path) ?? []).filter((one) => one !== own);
        this.streams.set(path, left);
      },
    });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  }
}

/** A problem as the server tells it. */
export function problem(status: number, detail: string, remedy = ""): Response {
  const body = { type: `urn:code-chef:problem:${status}`, title: "", status, detail, remedy };
  return Response.json({ ...body, errors: [], checklist: [] }, { status });
}

export const ADA = { name: "ada", role: "admin", may: ["read", "change", "approve", "administer"] };

export function fakeHost(server: FakeServer, route: Route, token?: TokenStore): Host {
  if (!server.answers.has("GET /me")) server.answers.set("GET /me", ADA);
  const shown = signal<Route | undefined>(route);
  return {
    kind: "browser",
    baseUrl: "http://chef.test",
    fetch: server.fetch,
    route: shown,
    seen: signal(true),
    navigate: (to) => {
      shown.value = to;
    },
    copy: () => Promise.resolve(),
    ...(token === undefined ? {} : { token }),
  };
}

export function memoryToken(first?: string): TokenStore {
  let token = first;
  return {
    get: () => token,
    set: (next) => {
      token = next;
    },
  };
}
