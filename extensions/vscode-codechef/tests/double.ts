/** A double of the API on loopback that speaks its wire format: answers typed by its document. */

import type { Activity, JobEventSent, Me, ProblemDetails } from "@codechef/client";
import type { IncomingMessage, ServerResponse } from "node:http";

import { bodyOf, json, Loopback, streaming } from "../../client/tests/loopback.js";

export const ADA: Me = {
  name: "ada",
  role: "admin",
  may: ["read", "change", "approve", "administer"],
};

/** A request as the double heard it. */
export interface Heard {
  method: string;
  path: string;
  body: unknown;
  token: string | undefined;
  /** What a request is sent again with. */
  key: string | undefined;
}

type Answer = (heard: Heard, response: ServerResponse) => void;

/** An API whose answers a test chooses, path by path; it knows one token, or needs none. */
export class ApiDouble {
  readonly heard: Heard[] = [];
  /** The only token that is let in; undefined lets everybody in. */
  token: string | undefined;
  me: Me = ADA;
  /** Whether connections are dropped without an answer, as while a server restarts. */
  away = false;
  private readonly answers = new Map<string, Answer>();
  private readonly listeners = new Map<string, Set<ReturnType<typeof streaming>>>();
  private readonly open = new Set<ServerResponse>();
  private server!: Loopback;

  static async start(): Promise<ApiDouble> {
    const double = new ApiDouble();
    double.server = await Loopback.start(
      (request, response) => void double.take(request, response),
    );
    return double;
  }

  get url(): string {
    return this.server.url;
  }

  stop(): Promise<void> {
    return this.server.stop();
  }

  /** Answers `METHOD /path` with JSON from now on. */
  on(request: string, body: unknown, status = 200): void {
    this.answers.set(request, (_heard, response) => json(response, body, status));
  }

  /** Answers `METHOD /path` as a function says from now on. */
  answer(request: string, answer: Answer): void {
    this.answers.set(request, answer);
  }

  /** Breaks off all streams. */
  hangUp(): void {
    for (const response of this.open) response.destroy();
  }

  /** Sends an event to whoever listens at a path. */
  tell(path: "/activity/events", event: Partial<Activity>): void;
  tell(path: "/jobs/events", event: Partial<JobEventSent>): void;
  tell(path: string, event: unknown): void;
  tell(path: string, event: unknown): void {
    for (const write of this.listeners.get(path) ?? []) write("event", event);
  }

  /** Waits until somebody listens at a path. */
  async listened(path: string): Promise<void> {
    while (!this.listeners.get(path)?.size) await new Promise((done) => setTimeout(done, 5));
  }

  /** How many listen at a path now. */
  listening(path: string): number {
    return this.listeners.get(path)?.size ?? 0;
  }

  asked(request: string): Heard[] {
    return this.heard.filter(({ method, path }) => `${method} ${path}` === request);
  }

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "").split("?")[0] ?? "";
    const method = request.method ?? "";
    const token = request.headers.authorization?.replace("Bearer ", "");
    const key = request.headers["idempotency-key"]?.toString();
    const heard = { method, path, token, key, body: await bodyOf(request) };
    this.heard.push(heard);
    if (this.away) {
      response.destroy();
      return;
    }
    if (this.token !== undefined && token !== this.token) json(response, problem(401), 401);
    else if (this.answers.has(`${method} ${path}`)) {
      this.answers.get(`${method} ${path}`)?.(heard, response);
    } else if (path === "/me") json(response, this.me);
    else if (path.endsWith("/events")) this.listen(path, response);
    else json(response, problem(404, `The double has no answer for ${method} ${path}.`), 404);
  }

  private listen(path: string, response: ServerResponse): void {
    const write = streaming(response);
    const all = this.listeners.get(path) ?? new Set();
    this.listeners.set(path, all.add(write));
    this.open.add(response);
    response.on("close", () => {
      all.delete(write);
      this.open.delete(response);
    });
  }
}

/** A problem as the API tells it. */
export function problem(
  status: number,
  detail = "An access token is needed: Authorization: Bearer TOKEN.",
  remedy = "Ask an administrator for one.",
): ProblemDetails {
  const type = `urn:code-chef:problem:${status}`;
  return { type, title: "Problem", status, detail, remedy, errors: [], checklist: [] };
}
