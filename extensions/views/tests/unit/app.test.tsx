import type { Route } from "@codechef/client";
import { signal } from "@preact/signals";
import { cleanup, render, screen, waitFor } from "@testing-library/preact";
import { afterEach, expect, test } from "vitest";

import { App } from "../../src/app.js";
import { HOME } from "../../src/route.js";
import { ADA, fakeHost, FakeServer, memoryToken, problem } from "./fake_host.js";
import { APPROVAL } from "./views/rollout_records.js";

afterEach(cleanup);

const AGENT = {
  agent: "docs",
  model: "acme/docs-1",
  version: "v1.0.0",
  newest: "v1.0.0",
  arms: [],
  rollout_id: null,
  phase: null,
};
const OVERVIEW = {
  agents: [AGENT],
  processes: [],
  pending_approvals: 0,
  running_jobs: 0,
  unfinished_intents: 0,
};

function server(): FakeServer {
  const made = new FakeServer();
  made.answers.set("GET /overview", OVERVIEW);
  made.answers.set("GET /jobs", { jobs: [] });
  made.answers.set("GET /approvals", { approvals: [] });
  return made;
}

test("a server that needs no token is shown without signing in", async () => {
  render(<App host={fakeHost(server(), HOME, memoryToken())} />);
  expect(await screen.findByText("acme/docs-1")).toBeTruthy();
  expect(screen.getByRole("main")).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Sign out" })).toBeNull();
});

test("what somebody did on the server is shown as soon as it is told", async () => {
  const chef = server();
  render(<App host={fakeHost(chef, HOME)} />);
  await screen.findByText("acme/docs-1");
  chef.answers.set("GET /overview", { ...OVERVIEW, agents: [{ ...AGENT, model: "acme/docs-2" }] });
  chef.send("/activity/events", "activity", { type: "activity", seq: 1, action: "deployed" });
  expect(await screen.findByText("acme/docs-2")).toBeTruthy();
});

test("who comes to a view by a link is there as soon as it is, for the key that they press next", async () => {
  const route = signal<Route>(HOME);
  render(<App host={{ ...fakeHost(server(), HOME), route }} />);
  const heading = await screen.findByRole("heading", { level: 1, name: "Overview" });
  expect(document.activeElement).toBe(document.body);
  const there = new Promise<[Element | null, string]>((tell) => {
    const seen = new MutationObserver(() => tell([document.activeElement, document.title]));
    seen.observe(heading, { characterData: true, childList: true, subtree: true });
  });
  route.value = { view: "approvals", params: {} };
  expect(await there).toEqual([heading, "Approvals · code/chef"]);
});

test("what was done while nobody saw the page is shown when somebody does", async () => {
  const chef = server();
  const seen = signal(false); // a tab that was opened behind another
  render(<App host={{ ...fakeHost(chef, { view: "approvals", params: {} }), seen }} />);
  await screen.findAllByText("Loading …");
  const asked = (): number => chef.asked.filter(({ path }) => path === "/approvals").length;
  expect(asked()).toBe(0);
  seen.value = true;
  await screen.findByText("Nothing waits.");
  await chef.following("/activity/events");
  seen.value = false;
  await expect.poll(() => chef.followers("/activity/events")).toBe(0);
  chef.answers.set("GET /approvals", { approvals: [APPROVAL] });
  seen.value = true;
  expect(await screen.findByText(APPROVAL.summary)).toBeTruthy();
});

test("a wrong token is told in the server's words and forgotten; a right one is sent", async () => {
  const chef = server();
  chef.answers.set("GET /me", (request: Request) =>
    request.headers.get("authorization") === "Bearer right"
      ? ADA
      : problem(401, "Nobody bears this token.", "Ask for one."),
  );
  const token = memoryToken();
  render(<App host={fakeHost(chef, HOME, token)} />);
  const field = await screen.findByLabelText<HTMLInputElement>("Access token");
  expect(screen.queryByRole("alert")).toBeNull();
  field.value = "wrong";
  screen.getByRole("button", { name: "Sign in" }).click();
  expect((await screen.findByRole("alert")).textContent).toContain("Nobody bears this token.");
  expect(token.get()).toBeUndefined();
  field.value = "right";
  screen.getByRole("button", { name: "Sign in" }).click();
  expect(await screen.findByText("acme/docs-1")).toBeTruthy();
  expect(chef.asked.at(-1)?.token).toBe("Bearer right");
});

test("what could not be asked for anew is said above what is shown still", async () => {
  const chef = server();
  render(<App host={fakeHost(chef, HOME)} />);
  await screen.findByText("acme/docs-1");
  await chef.following("/activity/events");
  chef.answers.set("GET /overview", problem(500, "It broke.", "Read its log."));
  chef.send("/activity/events", "activity", { type: "activity", seq: 1, action: "deployed" });
  expect((await screen.findByRole("alert")).textContent).toContain("It broke.");
  expect(screen.getByText("acme/docs-1")).toBeTruthy();
  chef.answers.set("GET /overview", OVERVIEW);
  screen.getByRole("button", { name: "Try again" }).click();
  await waitFor(() => expect(screen.queryByRole("alert")).toBeNull());
});

test("what cannot be a token is sent nowhere and not kept", async () => {
  const chef = server();
  chef.answers.set("GET /me", problem(401, "Nobody bears this token."));
  const token = memoryToken();
  render(<App host={fakeHost(chef, HOME, token)} />);
  const field = await screen.findByLabelText<HTMLInputElement>("Access token");
  for (const given of ["chef_abc…", "two words", " "]) {
    field.value = given;
    screen.getByRole("button", { name: "Sign in" }).click();
    expect(token.get()).toBeUndefined();
  }
  expect(chef.asked).toHaveLength(1);
  field.value = " chef_abc-1\n"; // as it was copied
  screen.getByRole("button", { name: "Sign in" }).click();
  expect(token.get()).toBe("chef_abc-1");
  await screen.findByRole("alert");
});

test("a token that is taken away while it is used leads to the sign-in, which says why", async () => {
  const chef = server();
  render(<App host={fakeHost(chef, HOME, memoryToken("old"))} />);
  await screen.findByText("acme/docs-1");
  for (const path of ["/me", "/overview", "/jobs", "/approvals"]) {
    chef.answers.set(`GET ${path}`, problem(401, "This token was revoked."));
  }
  const before = chef.asked.filter(({ path }) => path === "/me").length;
  await chef.following("/activity/events");
  chef.send("/activity/events", "activity", { type: "activity", seq: 1, action: "token_revoked" });
  await screen.findByLabelText("Access token");
  await new Promise((done) => setTimeout(done, 50)); // whatever else was asked is answered
  expect(screen.getByRole("alert").textContent).toContain("This token was revoked.");
  expect(chef.asked.filter(({ path }) => path === "/me").length).toBe(before + 1);
});

test("what an earlier token is answered late changes nothing for a later one", async () => {
  const chef = server();
  let refuse = (): void => undefined;
  const late = new Promise<void>((done) => (refuse = done));
  const token = memoryToken();
  const host = fakeHost(chef, HOME, token);
  chef.answers.set("GET /me", (request: Request) =>
    request.headers.get("authorization") === "Bearer right" ? ADA : problem(401, "Nobody's."),
  );
  const send = host.fetch;
  host.fetch = async (request) => {
    const response = await send(request);
    if (request.headers.get("authorization") === "Bearer wrong") await late;
    return response;
  };
  render(<App host={host} />);
  const field = await screen.findByLabelText<HTMLInputElement>("Access token");
  for (const given of ["wrong", "right"]) {
    field.value = given;
    screen.getByRole("button", { name: "Sign in" }).click();
  }
  await screen.findByText("acme/docs-1");
  refuse();
  await new Promise((done) => setTimeout(done, 50));
  expect(screen.getByText("acme/docs-1")).toBeTruthy();
  expect(token.get()).toBe("right");
});

test("a server that is gone is said to be, and what it answers when it is back is shown", async () => {
  const chef = server();
  render(<App host={fakeHost(chef, HOME)} />);
  await screen.findByText("acme/docs-1");
  chef.down = true;
  chef.hangUp();
  await screen.findByText(/Reconnecting/);
  expect(screen.getByText("acme/docs-1")).toBeTruthy();
  chef.answers.set("GET /overview", { ...OVERVIEW, agents: [{ ...AGENT, model: "acme/docs-3" }] });
  chef.down = false;
  expect(await screen.findByText("acme/docs-3")).toBeTruthy();
  await waitFor(() => expect(screen.queryByText(/Reconnecting/)).toBeNull());
});
