import { createClient, isPath, type ToHost } from "@codechef/client";
import { expect, test } from "vitest";

import { webviewHost } from "../../src/host/webview.js";

function editor(): {
  said: ToHost[];
  kept: unknown[];
  tell: (data: unknown) => void;
  host: ReturnType<typeof webviewHost>;
} {
  const said: ToHost[] = [];
  const kept: unknown[] = [];
  const page = new EventTarget();
  const host = webviewHost(
    page as unknown as Window,
    { postMessage: (message) => said.push(message), setState: (state) => kept.push(state) },
    "http://chef.test",
  );
  const tell = (data: unknown): void => {
    page.dispatchEvent(Object.assign(new Event("message"), { data }));
  };
  return { said, kept, tell, host };
}

const HEAD = { type: "head", status: 200, headers: { "Content-Type": "application/json" } };

test("a webview says that it is ready, and shows and keeps what it is told to", () => {
  const { said, kept, tell, host } = editor();
  expect(said).toEqual([{ type: "ready" }]);
  expect(host.route.value).toBeUndefined();
  tell({ type: "show", view: "job", params: { job_id: "j" } });
  expect(host.route.value).toEqual({ view: "job", params: { job_id: "j" } });
  expect(kept).toEqual([host.route.value]);
});

test("a request goes by messages, and its answer comes in pieces", async () => {
  const { said, tell, host } = editor();
  const api = createClient({ baseUrl: host.baseUrl, fetch: host.fetch });
  const call = api.GET("/jobs", { params: { query: { limit: 5 } } });
  await expect.poll(() => said.length).toBe(2);
  expect(said[1]).toMatchObject({ type: "request", id: 1, method: "GET", path: "/jobs?limit=5" });
  tell({ ...HEAD, id: 1 });
  for (const data of ['{"jo', 'bs":', "[]}"]) tell({ type: "chunk", id: 1, data });
  tell({ type: "end", id: 1 });
  expect((await call).data).toEqual({ jobs: [] });
});

test("a cancelled request is cancelled in the extension, and later pieces are not missed", async () => {
  const { said, tell, host } = editor();
  const ended = new AbortController();
  const call = host.fetch(new Request("http://chef.test/jobs", { signal: ended.signal }));
  await expect.poll(() => said.length).toBe(2);
  ended.abort();
  await expect(call).rejects.toThrow();
  expect(said[2]).toEqual({ type: "cancel", id: 1 });
  tell({ ...HEAD, id: 1 });
});

test("a request that fails in the extension is a server that does not answer", async () => {
  const { said, tell, host } = editor();
  const api = createClient({ baseUrl: host.baseUrl, fetch: host.fetch });
  const call = api.GET("/me");
  await expect.poll(() => said.length).toBe(2);
  tell({ type: "failed", id: 1 });
  await expect(call).rejects.toThrow("No server answers at http://chef.test.");
});

test.each(["/jobs", "/jobs/a%20b?x=1&y=%2F"])("%s is a path of the server", (path) => {
  expect(isPath(path)).toBe(true);
});

test.each(["jobs", "//evil.test/", "/a/../b", "http://evil.test/", "/\\evil", "/a#b", ""])(
  "%j is no path of the server",
  (path) => {
    expect(isPath(path)).toBe(false);
  },
);
