import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** A real server on loopback that answers as a test says. */
export class Loopback {
  readonly requests: IncomingMessage[] = [];

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(
    answer: (request: IncomingMessage, response: ServerResponse) => void,
  ): Promise<Loopback> {
    const server = createServer((request, response) => {
      loopback.requests.push(request);
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const loopback = new Loopback(
      server,
      `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    );
    return loopback;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** The JSON that a request carries; undefined where it carries none. */
export async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const sent = await text(request);
  return sent === "" ? undefined : JSON.parse(sent);
}

/** Answers with JSON. */
export function json(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, {
    "Content-Type": status < 400 ? "application/json" : "application/problem+json",
  });
  response.end(JSON.stringify(body));
}

/** Begins an answer of server-sent events; each is written as the API writes them. */
export function streaming(
  response: ServerResponse,
): (event: string, data: unknown, id?: number) => void {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  response.write("retry: 1000\n\n");
  return (event, data, id) => {
    const number = id === undefined ? "" : `id: ${id}\n`;
    response.write(`event: ${event}\n${number}data: ${JSON.stringify(data)}\n\n`);
  };
}
