/** A double of the gateway on loopback: OpenAI's chat completions, streamed. */

import type { IncomingMessage, ServerResponse } from "node:http";

import { bodyOf, json, Loopback } from "../../client/tests/loopback.js";

/** A piece of a streamed answer. */
export function chunk(delta: object, finish_reason: string | null = null): object {
  return { object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason }] };
}

export class GatewayDouble {
  readonly bodies: unknown[] = [];
  readonly tasks: unknown[] = [];
  readonly keys: (string | undefined)[] = [];
  /** The only key that is let in; undefined lets everybody in. */
  key: string | undefined;
  /** What is refused with an error instead of an answer. */
  refusal: { status: number; message: string } | undefined;
  /** The pieces of every answer; undefined begins one that never comes. */
  answers: object[] | undefined = [];
  onAsked: () => void = () => undefined;
  /** How many clients went before the end of their answer. */
  left = 0;
  private server!: Loopback;

  static async start(): Promise<GatewayDouble> {
    const double = new GatewayDouble();
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

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const key = request.headers.authorization?.replace("Bearer ", "");
    this.keys.push(key);
    if (this.key !== undefined && key !== this.key) {
      refuse(response, 401, "The bearer token is missing or wrong.");
    } else if (request.url === "/v1/models") {
      const data = ["agent/feature_dev", "agent/cicd"].map((id) => ({ id, object: "model" }));
      json(response, { object: "list", data });
    } else {
      this.bodies.push(await bodyOf(request));
      this.tasks.push(request.headers["x-task-id"]);
      this.reply(response);
    }
  }

  private reply(response: ServerResponse): void {
    this.onAsked();
    if (this.refusal !== undefined) {
      refuse(response, this.refusal.status, this.refusal.message);
      return;
    }
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.flushHeaders();
    response.on("close", () => (this.left += response.writableFinished ? 0 : 1));
    if (this.answers === undefined) return;
    for (const one of this.answers) response.write(`data: ${JSON.stringify(one)}\n\n`);
    response.end("data: [DONE]\n\n");
  }
}

function refuse(response: ServerResponse, status: number, message: string): void {
  const error = { message, type: "error", code: "refused", param: null, remedy: "" };
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify({ error }));
}
