import createOpenApiClient, { type Client } from "openapi-fetch";

import { ChefProblem } from "./problem.js";
import type { paths } from "./schema.js";

/** How a request reaches the server: the platform's own, or a bridge of it. */
export type Fetch = (request: Request) => Promise<Response>;

export interface ClientOptions {
  /** E.g. `http://127.0.0.1:8131`. */
  baseUrl: string;
  /** The access token to send, asked for before every request; none where the server needs none. */
  token?: () => string | undefined | PromiseLike<string | undefined>;
  fetch?: Fetch;
}

/** The API, each path with the types of its document. `answered` unwraps what it returns. */
export type Api = Client<paths>;

/** Returns a client of the API. Its calls throw a ChefProblem when no server answers. */
export function createClient({ baseUrl, token, fetch: send = fetch }: ClientOptions): Api {
  const api = createOpenApiClient<paths>({
    baseUrl,
    fetch: async (request) => {
      try {
        return await whole(await send(request));
      } catch (error) {
        // A cancelled request is its caller's doing, not the server's.
        if (request.signal.aborted) throw error;
        throw ChefProblem.unreachable(baseUrl);
      }
    },
  });
  api.use({
    async onRequest({ request }) {
      const secret = await token?.();
      if (secret) request.headers.set("Authorization", `Bearer ${secret}`);
      return request;
    },
  });
  return api;
}

/** Reads an answer to its end, where it may break off, too; a stream is read by who follows it. */
async function whole(response: Response): Promise<Response> {
  const streams = response.headers.get("content-type")?.startsWith("text/event-stream");
  if (streams === true || response.body === null) return response;
  return new Response(await response.arrayBuffer(), response);
}

/** What every call returns: the data of an answer, or the problem. */
interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Returns the data of a call. Throws a ChefProblem for every other answer. */
export async function answered<T>(call: Promise<Answer<T>>): Promise<NonNullable<T>> {
  const { data, error, response } = await call;
  if (data === undefined || data === null) throw ChefProblem.of(response.status, error);
  return data;
}
