import type { ToHost, ToView } from "@codechef/client";
import { afterEach, beforeEach, expect, test } from "vitest";

import { Bridge } from "../../src/webviews/bridge.js";
import { page } from "../../src/webviews/page.js";
import { eventually } from "../eventually.js";
import { editor, screen, WebviewPanel } from "../fakes/vscode.js";
import { Workplace } from "../workplace.js";

let place: Workplace;
let posted: ToView[];
let bridge: Bridge;
beforeEach(async () => {
  place = await Workplace.open();
  posted = [];
  bridge = new Bridge({
    baseUrl: () => place.api.url,
    token: () => Promise.resolve("secret"),
    post: (message) => posted.push(message),
  });
});
afterEach(async () => {
  bridge.dispose();
  await place.close();
});

type Request = Extract<ToHost, { type: "request" }>;
const request = (changes: Partial<Request> = {}): Request => ({
  type: "request",
  id: 1,
  method: "GET",
  path: "/overview",
  headers: {},
  body: null,
  ...changes,
});

const textOf = (id: number): string =>
  posted.map((one) => (one.type === "chunk" && one.id === id ? one.data : "")).join("");

test("a view's request goes with the token that the view does not have", async () => {
  await bridge.request(request({ headers: { Authorization: "Bearer of the view", Cookie: "x" } }));
  expect(place.api.heard[0]?.token).toBe("secret");
  expect(posted.map(({ type }) => type)).toEqual(["head", "chunk", "end"]);
  expect(JSON.parse(textOf(1))).toHaveProperty("agents");
  expect(JSON.stringify(posted)).not.toContain("secret");
});

test("a view asks its own server only", async () => {
  for (const path of ["//evil.example/", "/a/../../b", "http://evil.example/", "/\\evil.example"]) {
    await bridge.request(request({ path }));
  }
  await bridge.request(request({ method: "DELETE" }));
  expect(place.api.heard).toEqual([]);
  expect(posted.map(({ type }) => type)).toEqual(Array(5).fill("failed"));
});

test("a stream is passed on as it comes, and hung up when the view cancels it", async () => {
  const streaming = bridge.request(request({ path: "/activity/events" }));
  await place.api.listened("/activity/events");
  place.api.tell("/activity/events", { action: "größer", subject: "docs" });
  await eventually(() => expect(textOf(1)).toContain("größer"));
  bridge.cancel(1);
  await streaming;
  await eventually(() => expect(place.api.listening("/activity/events")).toBe(0));
  expect(posted.at(-1)?.type).toBe("chunk");
});

test("an answer that is refused reaches the view as it is, one that breaks off as failed", async () => {
  await bridge.request(request({ path: "/jobs/none" }));
  expect(posted[0]).toMatchObject({ type: "head", status: 404 });
  place.api.away = true;
  await bridge.request(request({ id: 2 }));
  expect(posted.at(-1)).toEqual({ type: "failed", id: 2 });
});

test("there is one tab for each view and what it is about", () => {
  const { views } = place.desk;
  views.open({ view: "job", params: { job_id: "job_1" } });
  views.open({ view: "job", params: { job_id: "job_1" } });
  views.open({ view: "job", params: { job_id: "job_2" } });
  expect(screen.panels.map(({ title, revealed }) => [title, revealed])).toEqual([
    ["Job job_1", 1],
    ["Job job_2", 0],
  ]);
});

test("a view is told what to show when it is ready, opens others, and copies", () => {
  place.desk.views.open({ view: "jobs", params: {} });
  const [panel] = screen.panels;
  panel?.say({ type: "ready" });
  expect(panel?.posted).toEqual([{ type: "show", view: "jobs", params: {} }]);
  panel?.say({ type: "open", view: "job", params: { job_id: "job_1" } });
  panel?.say({ type: "open", view: "constructor", params: {} });
  panel?.say({ type: "copy", text: "ollama run docs" });
  expect(screen.panels.map(({ title }) => title)).toEqual(["Jobs", "Job job_1"]);
  expect(editor.copied).toEqual(["ollama run docs"]);
});

test("a tab comes back as what it was", () => {
  const panel = new WebviewPanel("codechef.view", "");
  place.desk.views.restore(panel as never, { view: "rollout", params: { rollout_id: "ro_1" } });
  panel.say({ type: "ready" });
  expect(panel.posted).toEqual([{ type: "show", view: "rollout", params: { rollout_id: "ro_1" } }]);
  expect(panel.webview.options).toMatchObject({
    enableScripts: true,
    localResourceRoots: [{ path: "/extension/dist/views" }],
  });
});

test("a page runs our script and no other, and a hostile name stays text", () => {
  const html = page({
    script: "https://w/views.js",
    styles: "https://w/views.css",
    source: "https://w",
    nonce: "n0nce",
    server: 'http://x"><script>alert(1)</script>',
    title: "<img src=x onerror=alert(1)>",
  });
  expect(html).toContain("script-src &#39;nonce-n0nce&#39;".replaceAll("&#39;", "'"));
  expect(html).toContain("default-src 'none'");
  expect(html).not.toMatch(/<img|<script>/);
  expect(html).not.toMatch(/unsafe-/);
});

test("whoever signs in sees every tab anew, as what they may see", async () => {
  place.desk.views.open({ view: "jobs", params: {} });
  const [panel] = screen.panels;
  const before = panel?.webview.html;
  await place.desk.server.connect();
  expect(panel?.webview.html).toContain(`data-server="${place.api.url}"`);
  expect(panel?.webview.html).not.toBe(before); // by its nonce
});
