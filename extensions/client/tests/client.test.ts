import { afterEach, expect, test } from "vitest";

import { answered, ChefProblem, createClient, follow, send } from "../src/index.js";
import { json, Loopback, streaming } from "./loopback.js";

let server: Loopback | undefined;
afterEach(async () => {
  await server?.stop();
});

const TOKEN = { type: "token", seq: 4, agent: "supervisor", message_id: "m1" };
const DETAILS = {
  type: "urn:code-chef:problem:not-found-error",
  title: "Not found error",
  status: 404,
  detail: "There is no job 'job_x'.",
  remedy: "List them.",
  errors: [],
  checklist: [],
};

async function problemOf(work: Promise<unknown>): Promise<ChefProblem> {
  const caught = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(caught).toBeInstanceOf(ChefProblem);
  return caught as ChefProblem;
}

test("an answer comes typed, asked for with the token", async () => {
  server = await Loopback.start((_request, response) =>
    json(response, { name: "ada", role: "viewer", may: ["read"] }),
  );
  const api = createClient({ baseUrl: server.url, token: () => "secret" });
  const me = await answered(api.GET("/me"));
  expect(me.name).toBe("ada");
  expect(server.requests[0]?.headers.authorization).toBe("Bearer secret");
});

test("a problem keeps its message, its type and its remedy", async () => {
  server = await Loopback.start((_request, response) => json(response, DETAILS, 404));
  const api = createClient({ baseUrl: server.url });
  const problem = await problemOf(
    answered(api.GET("/jobs/{job_id}", { params: { path: { job_id: "job_x" } } })),
  );
  expect(problem.message).toBe("There is no job 'job_x'.");
  expect(problem.remedy).toBe("List them.");
  expect(problem.passing).toBe(false);
});

test("a server that is not there is said to be, with its address", async () => {
  server = await Loopback.start((_request, response) => json(response, {}));
  await server.stop();
  const problem = await problemOf(answered(createClient({ baseUrl: server.url }).GET("/me")));
  expect(problem.message).toContain(server.url);
  expect(problem.passing).toBe(true);
});

test("a server that goes in the middle of an answer is said not to answer", async () => {
  server = await Loopback.start((_request, response) => {
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": "100" });
    response.write('{"name": "a', () => response.destroy());
  });
  const problem = await problemOf(answered(createClient({ baseUrl: server.url }).GET("/me")));
  expect(problem.message).toContain(server.url);
  expect(problem.passing).toBe(true);
});

test("an answer of something else than code/chef is said to be", async () => {
  server = await Loopback.start((_request, response) => {
    response.writeHead(502, { "Content-Type": "text/html" });
    response.end("<h1>Bad gateway</h1>");
  });
  const problem = await problemOf(answered(createClient({ baseUrl: server.url }).GET("/me")));
  expect(problem.status).toBe(502);
});

test("a stream that breaks off goes on after its last event", async () => {
  const asked: (string | string[] | undefined)[] = [];
  server = await Loopback.start((request, response) => {
    asked.push(request.headers["last-event-id"]);
    const write = streaming(response);
    if (asked.length === 1) {
      write("activity", { seq: 7 }, 7);
      setTimeout(() => response.destroy(), 20);
    } else {
      write("activity", { seq: 8 }, 8);
    }
  });
  const states: string[] = [];
  const seen: number[] = [];
  const options = { onState: (state: string) => void states.push(state) };
  const api = createClient({ baseUrl: server.url });
  for await (const { data } of follow(api, "/activity/events", options)) {
    seen.push(data.seq);
    if (data.seq === 8) break;
  }
  expect(seen).toEqual([7, 8]);
  expect(asked).toEqual([undefined, "7"]);
  expect(states).toEqual(["live", "reconnecting", "live"]);
});

test("a connection on which nothing comes any more is given up and taken up again", async () => {
  let times = 0;
  server = await Loopback.start((_request, response) => {
    const write = streaming(response);
    times += 1;
    if (times > 1) write("activity", { seq: 1 }, 1);
  });
  const api = createClient({ baseUrl: server.url });
  for await (const { data } of follow(api, "/activity/events", { silenceMs: 100 })) {
    expect(data.seq).toBe(1);
    break;
  }
  expect(times).toBeGreaterThan(1);
});

test("a wrong token ends a stream, for waiting does not mend it", async () => {
  const details = { ...DETAILS, status: 401, detail: "An access token is needed." };
  server = await Loopback.start((_request, response) => json(response, details, 401));
  const stream = follow(createClient({ baseUrl: server.url }), "/activity/events");
  expect((await problemOf(stream.next())).status).toBe(401);
  expect(server.requests).toHaveLength(1);
});

test("an aborted stream ends without a word", async () => {
  server = await Loopback.start((_request, response) => void streaming(response));
  const stopping = new AbortController();
  const api = createClient({ baseUrl: server.url });
  const stream = follow(api, "/activity/events", { signal: stopping.signal });
  setTimeout(() => stopping.abort(), 50);
  expect((await stream.next()).done).toBe(true);
});

test("a stream ends when it is aborted, also where the platform has forgotten its signal", async () => {
  let hungUp = false;
  const body = new ReadableStream({ cancel: () => void (hungUp = true) });
  const headers = { "Content-Type": "text/event-stream" };
  const forgetful = (): Promise<Response> => Promise.resolve(new Response(body, { headers }));
  const stopping = new AbortController();
  const api = createClient({ baseUrl: "http://127.0.0.1:9", fetch: forgetful });
  const next = follow(api, "/activity/events", { signal: stopping.signal }).next();
  setTimeout(() => stopping.abort(), 20);
  expect((await next).done).toBe(true);
  expect(hungUp).toBe(true);
});

test("of a message that was being written when the connection broke off, the rest is heard", async () => {
  const token = (text: string): object => ({ ...TOKEN, text });
  const told = [
    ["Hel"],
    ["Hello", " th"], // joined otherwise than before
    ["Hello", " there", " again"],
  ];
  server = await Loopback.start((_request, response) => {
    const write = streaming(response);
    write("thread", { type: "thread", thread_id: "t1" });
    const connection = (server?.requests.length ?? 1) - 1;
    if (connection === 0) write("said", { type: "said", seq: 4, text: "hi", by: "ada" }, 4);
    for (const text of told[connection] ?? []) write("token", token(text));
    if (connection < 2) setTimeout(() => response.destroy(), 20);
    else write("end", { type: "end", seq: 5, waiting: null }, 5);
  });
  let text = "";
  const turn = send(createClient({ baseUrl: server.url }), "hi", undefined);
  for await (const event of turn) if (event.type === "token") text += event.text;
  expect(text).toBe("Hello there again");
});

test("a turn that breaks off is heard to its end and said once", async () => {
  server = await Loopback.start((request, response) => {
    const write = streaming(response);
    write("thread", { type: "thread", thread_id: "t1" });
    if (request.method === "POST") {
      write("said", { type: "said", seq: 4, text: "hi", by: "ada" }, 4);
      setTimeout(() => response.destroy(), 20);
    } else {
      expect(request.headers["last-event-id"]).toBe("4");
      write("message", { type: "message", seq: 5, agent: "supervisor", text: "hello" }, 5);
      write("end", { type: "end", seq: 6, waiting: null }, 6);
    }
  });
  const types: string[] = [];
  for await (const event of send(createClient({ baseUrl: server.url }), "hi", undefined)) {
    types.push(event.type);
  }
  expect(types).toEqual(["thread", "said", "message", "end"]);
  expect(server.requests.filter((request) => request.method === "POST")).toHaveLength(1);
});
