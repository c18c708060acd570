/** Overview, rollouts, approvals and the simulator: what the server says is what is shown. */

import type { Route } from "@codechef/client";
import { cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/preact";
import { afterEach, expect, test } from "vitest";

import { App } from "../../../src/app.js";
import { changesIn } from "../../../src/views/approval_edit.js";
import { ADA, fakeHost, FakeServer, problem } from "../fake_host.js";
import { REPORT } from "./records.js";
import { APPROVAL, ARM, ERRORS, HISTORY, ROLLOUT, SIMULATED, STATE } from "./rollout_records.js";

afterEach(cleanup);

const AGENT = {
  agent: "docs",
  model: "acme/docs",
  version: "v1.0.0",
  arms: STATE.arms,
  rollout_id: "ro_1",
  phase: "running",
};
const OVERVIEW = {
  agents: [AGENT],
  processes: [{ name: "gateway", state: "silent", address: "127.0.0.1:1", pid: 1, detail: "" }],
  pending_approvals: 1,
  running_jobs: 1,
  unfinished_intents: 0,
};
const HOSTILE = '<img src=x onerror="alert(1)"><b>bold</b>';

function server(): FakeServer {
  const chef = new FakeServer();
  chef.answers.set("GET /overview", OVERVIEW);
  chef.answers.set("GET /jobs", { jobs: [{ job_id: "job_1" }] });
  chef.answers.set("GET /jobs/job_1", { ...REPORT });
  chef.answers.set("GET /approvals", { approvals: [APPROVAL] });
  chef.answers.set("GET /approvals/ap_1", { ...APPROVAL });
  chef.answers.set("GET /rollouts", { rollouts: [STATE] });
  chef.answers.set("GET /rollouts/ro_1", { ...ROLLOUT });
  chef.answers.set("GET /rollouts/ro_1/history", { ...HISTORY });
  return chef;
}

function show(chef: FakeServer, view: Route["view"], params: Route["params"] = {}): void {
  render(<App host={fakeHost(chef, { view, params })} />);
}

function happened(chef: FakeServer): void {
  chef.send("/activity/events", "activity", { type: "activity", seq: 1, action: "x" });
}

test("the overview shows who serves whom, what runs and what waits, and follows the server", async () => {
  const chef = server();
  show(chef, "overview");
  expect(await screen.findByRole("heading", { name: "Waiting for you: 1" })).toBeTruthy();
  expect(screen.getByText("acme/docs-v2")).toBeTruthy();
  expect(screen.getByLabelText("Split as asked: stable 80 %, candidate 20 %")).toBeTruthy();
  expect(screen.getByLabelText("Split as realised: stable 79.5 %, candidate 20.5 %")).toBeTruthy();
  expect(screen.getByText("40 of 100")).toBeTruthy();
  expect(screen.getByText("silent")).toBeTruthy();
  chef.answers.set("GET /approvals", { approvals: [] });
  chef.answers.set("GET /rollouts/ro_1", { ...ROLLOUT, verdict: "fail", verdict_reason: HOSTILE });
  chef.answers.set("GET /jobs/job_1", { ...REPORT, current_step: 41 });
  happened(chef);
  expect(await screen.findByText(HOSTILE)).toBeTruthy();
  expect(screen.getByText("fail")).toBeTruthy();
  expect(screen.getByText("41 of 100")).toBeTruthy();
  expect(screen.queryByText(/Waiting for/)).toBeNull();
  expect(document.querySelector("img")).toBeNull();
});

test("what somebody else has to answer is said to wait for them", async () => {
  const chef = server();
  const other = { ...APPROVAL, may_answer: false, refusal: "ada asked for it." };
  chef.answers.set("GET /approvals", { approvals: [other] });
  show(chef, "overview");
  expect(await screen.findByRole("heading", { name: "Waiting for somebody else: 1" })).toBeTruthy();
});

test("what waits is a link with the beginning of its summary, and nothing else to press in it", async () => {
  const chef = server();
  const summary = `Deploy ${"docs ".repeat(200)}`;
  chef.answers.set("GET /approvals", { approvals: [{ ...APPROVAL, summary }] });
  show(chef, "overview");
  const link = await screen.findByRole("link", { name: /^Deploy docs/ });
  expect(link.textContent).toBe(`${summary.slice(0, 240)} …`);
});

test("all rollouts are listed, each a way to its own view", async () => {
  const chef = server();
  show(chef, "rollouts");
  const link = await screen.findByRole("link", { name: "docs" });
  expect(link.getAttribute("href")).toBe("#/rollout/ro_1");
  const over = { ...STATE, phase: "rolled_back", ended_at: 1_790_000_100, reason: "Too slow." };
  chef.answers.set("GET /rollouts", { rollouts: [over] });
  happened(chef);
  expect(await screen.findByText("Too slow.")).toBeTruthy();
  expect(screen.getByText("rolled back")).toBeTruthy();
});

test("a rollout is shown as its stream tells it, to its end", async () => {
  const chef = server();
  show(chef, "rollout", { rollout_id: "ro_1" });
  await chef.following("/rollouts/ro_1/events");
  chef.send("/rollouts/ro_1/events", "report", ROLLOUT);
  expect(await screen.findByText(ROLLOUT.verdict_reason)).toBeTruthy();
  const arms = screen.getByRole("table", { name: /Requests, errors/ });
  expect(within(arms).getByText("3 %")).toBeTruthy();
  expect(within(arms).getAllByText("1.3 s")).toHaveLength(2);
  const watches = screen.getByRole("table", { name: /Evidence of each watch/ });
  expect(within(watches).getByText("2.5 of 80")).toBeTruthy();
  expect(await screen.findByText("error: evidence that it is worse")).toBeTruthy();
  expect(screen.getByRole("button", { name: "Roll back" })).toBeTruthy();
  const decision = { at: 1_790_000_900, actor: "timer", kind: "rollback", evidence: {} };
  chef.send("/rollouts/ro_1/events", "report", {
    ...ROLLOUT,
    phase: "rolled_back",
    verdict: "fail",
    reason: HOSTILE,
    decisions: [...ROLLOUT.decisions, { ...decision, message: "Rolled back." }],
  });
  expect(await screen.findByText("Rolled back.")).toBeTruthy();
  expect(screen.getByText(HOSTILE)).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Roll back" })).toBeNull();
  expect(document.querySelector("img")).toBeNull();
  await waitFor(() => expect(chef.followers("/rollouts/ro_1/events")).toBe(0));
});

const RIVAL = {
  ...ARM,
  arm: "challenger_2",
  version: null,
  model: "acme/rival",
  asked_pct: 20,
};

test("of several challengers each has its share, its evidence to be better, and a promotion of its own", async () => {
  const chef = server();
  const better = { better_e_value: 15.5, better_threshold: 120 };
  chef.answers.set("POST /modelops/promote_canary", problem(409, "Not now.", ""));
  show(chef, "rollout", { rollout_id: "ro_1" });
  await chef.following("/rollouts/ro_1/events");
  chef.send("/rollouts/ro_1/events", "report", {
    ...ROLLOUT,
    strategy: "champion_challenger",
    steps: [],
    arms: [...ROLLOUT.arms, RIVAL, { ...RIVAL, arm: "out", model: "acme/out", asked_pct: 0 }],
    guardrails: [
      { ...ERRORS, ...better },
      { ...ERRORS, arm: "challenger_2" },
    ],
  });
  expect(await screen.findByText("champion challenger")).toBeTruthy();
  const watches = screen.getByRole("table", { name: /Evidence of each watch/ });
  expect(within(watches).getByText("challenger_2")).toBeTruthy();
  expect(within(watches).getByText("15.5 of 120")).toBeTruthy();
  expect(screen.queryByText("Steps:", { exact: false })).toBeNull();
  expect(screen.queryByRole("button", { name: "Promote acme/out" })).toBeNull();
  expect(screen.getByRole("button", { name: "Promote v1.1.0" })).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Promote acme/rival" }));
  expect(await screen.findByText("Not now.")).toBeTruthy();
  const asked = chef.asked.find(({ path }) => path === "/modelops/promote_canary");
  expect(asked?.body).toEqual({ agent: "docs", version: "acme/rival", dry_run: true });
});

test("a shadow's copies, an ensemble's votes and who judges are told as what they are", async () => {
  const chef = server();
  const [stable, candidate] = ROLLOUT.arms;
  const copies = { asked_pct: 0, mirror_pct: 50, realised_pct: null };
  show(chef, "rollout", { rollout_id: "ro_1" });
  await chef.following("/rollouts/ro_1/events");
  const shadow = {
    ...ROLLOUT,
    strategy: "shadow",
    judge: "acme/judge",
    arms: [
      { ...stable, asked_pct: 100, realised_pct: null },
      { ...candidate, ...copies },
    ],
  };
  chef.send("/rollouts/ro_1/events", "report", shadow);
  expect(await screen.findByLabelText("Copies: stable 0 %, candidate 50 %")).toBeTruthy();
  expect(screen.getByText("copies of 50 %")).toBeTruthy();
  expect(screen.getByText("acme/judge")).toBeTruthy();
  chef.send("/rollouts/ro_1/events", "report", { ...ROLLOUT, strategy: "ensemble" });
  expect(await screen.findByLabelText("Split as votes: stable 80 %, candidate 20 %")).toBeTruthy();
});

test("a rehearsed rollback is told with each process, what was checked before traffic with each finding", async () => {
  const chef = server();
  chef.answers.set("POST /modelops/rollback_deployment", problem(409, "Nobody serves.", ""));
  show(chef, "rollout", { rollout_id: "ro_1" });
  await chef.following("/rollouts/ro_1/events");
  chef.send("/rollouts/ro_1/events", "report", ROLLOUT);
  expect(await screen.findByText("None was held yet.")).toBeTruthy();
  const processes = [
    { process: "gateway-1", in_effect_s: 0.046, last_answer_s: null, under_way: 2 },
  ];
  const drilled = { verdict: "pass", message: HOSTILE, at: 1_790_000_000, away_s: 1.5, processes };
  const checklist = [{ name: "loads", verdict: "pass", message: "After 3 s.", measured: {} }];
  chef.send("/rollouts/ro_1/events", "report", { ...ROLLOUT, drilled, checklist });
  const table = await screen.findByRole("table", {
    name: "How fast each serving process followed",
  });
  expect(within(table).getByText("46 ms")).toBeTruthy();
  expect(screen.getByText(HOSTILE)).toBeTruthy();
  expect(screen.getByText("After 3 s.")).toBeTruthy();
  expect(screen.queryByText("None was held yet.")).toBeNull();
  fireEvent.click(screen.getByRole("button", { name: "Rehearse a rollback" }));
  expect(await screen.findByText("Nobody serves.")).toBeTruthy();
  const asked = chef.asked.find(({ path }) => path === "/modelops/rollback_deployment");
  expect(asked?.body).toEqual({ agent: "docs", drill: true, dry_run: true });
});

test("rolling back names what changes before it does, in the server's words", async () => {
  const chef = server();
  chef.answers.set("POST /modelops/rollback_deployment", {
    dry_run: true,
    summary: "All of docs' traffic goes to v1.0.0.",
    estimated_cost_usd: 0,
    cost_is_per_hour: false,
    estimated_minutes: null,
    approval_needed: true,
    details: {},
  });
  show(chef, "rollout", { rollout_id: "ro_1" });
  await chef.following("/rollouts/ro_1/events");
  chef.send("/rollouts/ro_1/events", "report", ROLLOUT);
  fireEvent.click(await screen.findByRole("button", { name: "Roll back" }));
  expect(await screen.findByText("All of docs' traffic goes to v1.0.0.")).toBeTruthy();
  const asked = chef.asked.filter(({ method }) => method === "POST");
  expect(asked.map(({ body }) => body)).toEqual([{ agent: "docs", dry_run: true }]);
  const waits = { approval_id: "ap_1", detail: "An approver has to agree.", approval: APPROVAL };
  chef.answers.set("POST /modelops/rollback_deployment", Response.json(waits, { status: 202 }));
  fireEvent.click(screen.getByRole("button", { name: "Ask for approval" }));
  expect(await screen.findByText("An approver has to agree.")).toBeTruthy();
  expect(chef.asked.filter(({ method }) => method === "POST").at(-1)?.body).toEqual({
    agent: "docs",
  });
  chef.send("/rollouts/ro_1/events", "report", { ...ROLLOUT, phase: "rolled_back" });
  await waitFor(() => expect(screen.queryByRole("button", { name: "Roll back" })).toBeNull());
  expect(screen.getByText("An approver has to agree.")).toBeTruthy();
});

test("who may only look is offered no change", async () => {
  const chef = server();
  chef.answers.set("GET /me", { name: "vic", role: "viewer", may: ["read"] });
  show(chef, "rollout", { rollout_id: "ro_1" });
  await chef.following("/rollouts/ro_1/events");
  chef.send("/rollouts/ro_1/events", "report", ROLLOUT);
  await screen.findByText(ROLLOUT.verdict_reason);
  expect(screen.queryByRole("button", { name: "Roll back" })).toBeNull();
});

test("approvals are listed with what became of them, and why one is not for who looks", async () => {
  const chef = server();
  show(chef, "approvals");
  expect(await screen.findAllByText(APPROVAL.summary)).toHaveLength(1);
  expect(screen.getByText("to answer")).toBeTruthy();
  const refusal = "olga asked for it, somebody else has to answer.";
  const own = { ...APPROVAL, may_answer: false, refusal };
  const over = {
    ...APPROVAL,
    id: "ap_0",
    status: "rejected",
    approver: "ada",
    reason: "Too soon.",
  };
  chef.answers.set("GET /approvals", (request: Request) => ({
    approvals: new URL(request.url).searchParams.has("all") ? [own, over] : [own],
  }));
  happened(chef);
  expect(await screen.findByText(refusal)).toBeTruthy();
  expect(await screen.findByText("Too soon.")).toBeTruthy();
  expect(screen.queryByText("to answer")).toBeNull();
});

test("an approval is answered with a reason, then carried out", async () => {
  const chef = server();
  show(chef, "approval", { approval_id: "ap_1" });
  expect(await screen.findByText(APPROVAL.summary)).toBeTruthy();
  expect(screen.getByText("$12.50")).toBeTruthy();
  expect(screen.getByText("20, 50, 100")).toBeTruthy();
  fireEvent.input(screen.getByLabelText("Reason"), { target: { value: "Go." } });
  const approved = { ...APPROVAL, status: "approved", approver: "ada", answered_at: 1_790_000_010 };
  chef.answers.set("POST /approvals/ap_1/answer", approved);
  chef.answers.set("GET /approvals/ap_1", approved);
  fireEvent.click(screen.getByRole("button", { name: "Approve" }));
  const carryOut = await screen.findByRole("button", { name: "Carry it out" });
  expect(chef.asked.find(({ path }) => path.endsWith("/answer"))?.body).toEqual({
    approve: true,
    reason: "Go.",
  });
  chef.answers.set("POST /approvals/ap_1/resume", problem(409, "The canary has ended.", "Look."));
  fireEvent.click(carryOut);
  expect((await screen.findByRole("alert")).textContent).toContain("The canary has ended.");
  const result = { job_id: "job_1" };
  chef.answers.set("POST /approvals/ap_1/resume", { use_case: "train_subagent_model", result });
  fireEvent.click(screen.getByRole("button", { name: "Carry it out" }));
  expect(await screen.findByRole("heading", { level: 1, name: "Job" })).toBeTruthy();
});

test("who may not answer is told why, and is given no button", async () => {
  const chef = server();
  const refusal = "Who asks may not answer.";
  chef.answers.set("GET /me", { ...ADA, name: "olga", role: "operator", may: ["read", "change"] });
  chef.answers.set("GET /approvals/ap_1", { ...APPROVAL, may_answer: false, refusal });
  show(chef, "approval", { approval_id: "ap_1" });
  expect(await screen.findByText(refusal)).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Approve" })).toBeNull();
  expect(screen.getByRole("button", { name: "Take it back" })).toBeTruthy();
});

test("what is asked for can be changed: only what is another goes to the server", async () => {
  const chef = server();
  chef.answers.set("POST /approvals/ap_1/edit", { ...APPROVAL, id: "ap_2" });
  chef.answers.set("GET /approvals/ap_2", { ...APPROVAL, id: "ap_2", edited_from: "ap_1" });
  show(chef, "approval", { approval_id: "ap_1" });
  fireEvent.click(await screen.findByRole("button", { name: "Change what is asked for" }));
  fireEvent.input(screen.getByLabelText("percent"), { target: { value: "30" } });
  fireEvent.click(screen.getByRole("button", { name: "Send the change" }));
  expect(await screen.findByText(/in the place of/)).toBeTruthy();
  expect(chef.asked.find(({ path }) => path.endsWith("/edit"))?.body).toEqual({
    changes: { percent: 30 },
    reason: "",
  });
});

test.each([
  [{ model: "a/b" }, { model: "a/c" }, { model: "a/c" }],
  [{ name: "7" }, { name: "8" }, { name: "8" }],
  [{ percent: 20, agent: "docs" }, { percent: "20", agent: "docs" }, {}],
  [{ policy: { margin: 0.1 } }, { policy: '{"margin":0.2}' }, { policy: { margin: 0.2 } }],
  [{ version: null }, { version: "v1.1.0" }, { version: "v1.1.0" }],
  [{ judge: "a/b" }, { judge: "" }, { judge: null }],
  [{ body: "one\r\ntwo" }, { body: "one\ntwo" }, {}], // as a field gives it back
])("of %o, given %o, the changes are %o", (values, given: Record<string, string>, changes) => {
  expect(changesIn(Object.entries(values), (name) => given[name] ?? null)).toEqual(changes);
});

test("a canary is simulated with the server's defaults, then with what is assumed", async () => {
  const chef = server();
  const properties = { weight: { description: "Its share.", default: 20 } };
  chef.answers.set("GET /openapi.json", {
    components: { schemas: { SimulateCanary: { properties } } },
  });
  chef.answers.set("POST /modelops/simulate_canary", { ...SIMULATED });
  show(chef, "simulator");
  expect(await screen.findByText("2,642")).toBeTruthy();
  const weight = screen.getByLabelText<HTMLInputElement>("weight");
  await waitFor(() => expect(weight.placeholder).toBe("20"));
  expect(screen.getByText("Its share.")).toBeTruthy();
  expect(screen.getByText("How the runs end")).toBeTruthy();
  weight.value = "50";
  chef.answers.set("POST /modelops/simulate_canary", { ...SIMULATED, expected_requests: 77 });
  fireEvent.click(screen.getByRole("button", { name: "Simulate" }));
  expect(await screen.findByText("77")).toBeTruthy();
  const asked = chef.asked.filter(({ path }) => path === "/modelops/simulate_canary");
  expect(asked.map(({ body }) => body)).toEqual([{ curves: true }, { weight: 50, curves: true }]);
});
