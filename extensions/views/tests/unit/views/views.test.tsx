import type { View } from "@codechef/client";
import { cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/preact";
import { afterEach, expect, test } from "vitest";

import { App } from "../../../src/app.js";
import { ADA, fakeHost, FakeServer, problem } from "../fake_host.js";
import { EVALUATION, example, REPORT, version } from "./records.js";

afterEach(cleanup);

function open(chef: FakeServer, view: View, params: Record<string, string> = {}): void {
  render(<App host={fakeHost(chef, { view, params })} />);
}

/** Sends a job's report to who follows it, once they do. */
async function tell(chef: FakeServer, report: object): Promise<void> {
  const path = "/jobs/job_1/events";
  await waitFor(() => expect(chef.asked.some((one) => one.path === path)).toBe(true));
  chef.send(path, "report", report);
}

function jobs(losses: number[][] = []): FakeServer {
  const chef = new FakeServer();
  chef.answers.set("GET /jobs/job_1/log", { lines: ["step 1", "step 2"], end: null });
  chef.answers.set("GET /jobs/job_1/losses", { job_id: "job_1", losses });
  return chef;
}

test("a job is shown as it stands, and anew when the server tells more", async () => {
  const chef = jobs([
    [1, 2.5],
    [2, 1.25],
  ]);
  open(chef, "job", { job_id: "job_1" });
  await tell(chef, REPORT);
  expect(await screen.findByText("40 of 100")).toBeTruthy();
  expect(screen.getByText("12 min")).toBeTruthy();
  expect(screen.getByText("$3.50")).toBeTruthy();
  expect(await screen.findByText(/step 1\s+step 2/)).toBeTruthy();
  fireEvent.click(await screen.findByRole("button", { name: "Numbers" }));
  expect(screen.getByRole("row", { name: "2 1.25" })).toBeTruthy();
  await tell(chef, { ...REPORT, current_step: 41, current_loss: 0.75 });
  expect(await screen.findByText("41 of 100")).toBeTruthy();
  expect(screen.getByText("0.75")).toBeTruthy();
});

test("a failed job says why and what to do, and is followed no further", async () => {
  const chef = jobs();
  open(chef, "job", { job_id: "job_1" });
  const error = { kind: "out_of_memory", message: "The GPU is full.", remedy: "Halve the batch." };
  await tell(chef, { ...REPORT, status: "failed", error });
  expect(await screen.findByText("The GPU is full.")).toBeTruthy();
  expect(screen.getByText("Halve the batch.")).toBeTruthy();
  expect(screen.getByRole("button", { name: "Resume the job" })).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Cancel the job" })).toBeNull();
  await waitFor(() => expect(chef.followers("/jobs/job_1/events")).toBe(0));
});

test("a link to the curves opens the web alone", async () => {
  const chef = jobs();
  open(chef, "job", { job_id: "job_1" });
  await tell(chef, { ...REPORT, tensorboard_url: "javascript:alert(1)" });
  expect((await screen.findByText("javascript:alert(1)")).closest("a")).toBeNull();
  await tell(chef, { ...REPORT, tensorboard_url: "https://curves.test/1" });
  const link = await screen.findByRole("link", { name: "https://curves.test/1" });
  expect(link.getAttribute("rel")).toContain("noopener");
});

test("a job is cancelled when what would happen was shown and confirmed", async () => {
  const chef = jobs();
  chef.answers.set("POST /modelops/cancel_training_job", () => {
    const { body } = chef.asked[chef.asked.length - 1] ?? {};
    return (body as { dry_run: boolean }).dry_run
      ? {
          dry_run: true,
          summary: "Job job_1 would stop.",
          estimated_cost_usd: 0,
          approval_needed: false,
          details: {},
        }
      : { job_id: "job_1", status: "running" };
  });
  open(chef, "job", { job_id: "job_1" });
  await tell(chef, REPORT);
  fireEvent.click(await screen.findByRole("button", { name: "Cancel the job" }));
  const question = await screen.findByRole("dialog", { name: "Cancel the job" });
  expect(await within(question).findByText("Job job_1 would stop.")).toBeTruthy();
  fireEvent.click(within(question).getByRole("button", { name: "Cancel the job" }));
  const done = await within(question).findByText("Done.");
  await waitFor(() => expect(document.activeElement).toBe(done.parentElement));
  const asked = chef.asked.filter(({ method }) => method === "POST").map(({ body }) => body);
  expect(asked).toEqual([{ job_id: "job_1", dry_run: true }, { job_id: "job_1" }]);
  await tell(chef, { ...REPORT, status: "cancelled" });
  await screen.findByRole("button", { name: "Resume the job" });
  expect(within(question).getByText("Done.")).toBe(done);
});

test("why a change was refused is said until it is tried again, or another one is wanted", async () => {
  const chef = new FakeServer();
  chef.answers.set("GET /jobs/job_1/differences", problem(404, "None."));
  chef.answers.set("POST /modelops/deploy_model_to_agent", () => {
    const { body } = chef.asked[chef.asked.length - 1] ?? {};
    const plan = { summary: "It would serve.", estimated_cost_usd: 0, estimated_minutes: null };
    return (body as { dry_run?: boolean }).dry_run
      ? { dry_run: true, ...plan, approval_needed: false, details: {} }
      : problem(409, "Another one is being deployed.");
  });
  open(chef, "compare", { job_id: "job_1" });
  await tell(chef, { ...REPORT, status: "completed", evaluation: EVALUATION });
  fireEvent.click(await screen.findByRole("button", { name: "Deploy v1.1.0" }));
  const question = within(await screen.findByRole("dialog"));
  const deploy = async (): Promise<void> => {
    const button = await question.findByRole("button", { name: "Deploy v1.1.0" });
    await waitFor(() => expect(button).toHaveProperty("disabled", false));
    fireEvent.click(button);
    await question.findByText("Another one is being deployed.");
  };
  const gone = (): Promise<void> =>
    waitFor(() => expect(question.queryByText("Another one is being deployed.")).toBeNull());
  await deploy();
  fireEvent.click(question.getByRole("button", { name: "Try again" }));
  await gone();
  await deploy();
  fireEvent.change(question.getByLabelText("Strategy"), { target: { value: "immediate" } });
  await gone();
});

test("who may change nothing is offered no change", async () => {
  const chef = jobs();
  chef.answers.set("GET /me", { ...ADA, role: "viewer", may: ["read"] });
  open(chef, "job", { job_id: "job_1" });
  await tell(chef, REPORT);
  expect(await screen.findByText("40 of 100")).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Cancel the job" })).toBeNull();
});

test("a comparison begins with what is recommended and why, then shows each metric", async () => {
  const chef = new FakeServer();
  chef.answers.set("GET /jobs/job_1/differences", {
    job_id: "job_1",
    candidate: "v1.1.0",
    baseline: "v1.0.0",
    counts: { won: 1, lost: 0, other: 0 },
    examples: [example("ex_1", "<b>old</b> answer", "<i>new</i> answer")],
    next: null,
  });
  open(chef, "compare", { job_id: "job_1" });
  await tell(chef, { ...REPORT, kind: "evaluation", status: "completed", evaluation: EVALUATION });
  expect(await screen.findByText("deploy canary")).toBeTruthy();
  expect(screen.getByText("12.5 % better in the weighted mean.")).toBeTruthy();
  expect(screen.getByText(/about 340 more would settle/)).toBeTruthy();
  const accuracy = screen.getByRole("row", { name: /^accuracy/ });
  expect(accuracy.textContent).toContain("+0.1 [+0.02, +0.18]");
  expect(accuracy.textContent).toContain("better");
  expect(screen.getByRole("row", { name: /^token efficiency/ }).textContent).toContain(
    "not settled",
  );
  const answer = await screen.findByRole("region", { name: "Candidate's answer" });
  expect(answer.querySelector("pre")?.textContent).toBe("<i>new</i> answer");
  expect(answer.querySelectorAll("mark").length).toBeGreaterThan(0);
  expect(answer.querySelector("i")).toBeNull();
});

test("what is still compared is said to be, until the evaluation has ended", async () => {
  const chef = new FakeServer();
  chef.answers.set("GET /jobs/job_1/differences", problem(404, "None."));
  open(chef, "compare", { job_id: "job_1" });
  await tell(chef, { ...REPORT, kind: "evaluation", message: "asking both" });
  expect(await screen.findByText("There is nothing to compare yet.")).toBeTruthy();
  expect(screen.getByText("asking both")).toBeTruthy();
  const evaluation = { ...EVALUATION, recommendation: "reject" };
  await tell(chef, { ...REPORT, kind: "evaluation", status: "completed", evaluation });
  expect(await screen.findByText("reject")).toBeTruthy();
  expect(screen.queryByText("There is nothing to compare yet.")).toBeNull();
});

test("examples are asked for by who won, a page at a time", async () => {
  const chef = new FakeServer();
  chef.answers.set("GET /jobs/job_1/differences", (request: Request) => {
    const query = new URL(request.url).searchParams;
    return {
      job_id: "job_1",
      candidate: "v1.1.0",
      baseline: "v1.0.0",
      counts: { won: 11, lost: 3, other: 0 },
      examples: [example(`${query.get("kind") ?? "all"}-${query.get("after") ?? ""}`, "a", "b")],
      next: query.get("after") === "0" ? 10 : null,
    };
  });
  open(chef, "compare", { job_id: "job_1" });
  await tell(chef, { ...REPORT, status: "completed", evaluation: EVALUATION });
  expect(await screen.findByText("all-0")).toBeTruthy();
  const press = (name: string): void => {
    const button = screen.getByRole("button", { name });
    button.focus();
    fireEvent.click(button);
  };
  /** Who moves by keys is where they were, with what they asked for. */
  const seen = async (example: string, pressed: string): Promise<void> => {
    expect(await screen.findByText(example)).toBeTruthy();
    expect(document.activeElement).toBe(screen.getByRole("button", { name: pressed }));
  };
  press("candidate lost (3)");
  await seen("lost-0", "candidate lost (3)");
  press("Later");
  await seen("lost-10", "Later");
  press("Later"); // there is none
  press("Earlier");
  await seen("lost-0", "Earlier");
});

test("a deployment that needs an approval leads to it, and is asked for as it was chosen", async () => {
  const chef = new FakeServer();
  chef.answers.set("GET /jobs/job_1/differences", problem(404, "None."));
  chef.answers.set("POST /modelops/deploy_model_to_agent", () => {
    const { body } = chef.asked[chef.asked.length - 1] ?? {};
    const { dry_run, strategy = "canary" } = body as { dry_run: boolean; strategy?: string };
    return dry_run
      ? {
          dry_run: true,
          summary: `v1.1.0 would serve docs: ${strategy}.`,
          estimated_cost_usd: 0,
          approval_needed: true,
          details: {},
        }
      : Response.json(
          { approval_id: "ap_1", detail: "Waits for a yes.", approval: {} },
          { status: 202 },
        );
  });
  open(chef, "compare", { job_id: "job_1" });
  await tell(chef, { ...REPORT, status: "completed", evaluation: EVALUATION });
  fireEvent.click(await screen.findByRole("button", { name: "Deploy v1.1.0" }));
  expect(await screen.findByText("v1.1.0 would serve docs: canary.")).toBeTruthy();
  const strategy = screen.getByLabelText("Strategy");
  fireEvent.change(strategy, { target: { value: "immediate" } });
  expect(await screen.findByText("v1.1.0 would serve docs: immediate.")).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Ask for approval" }));
  const link = await screen.findByRole("link", { name: "Open the approval" });
  expect(link.getAttribute("href")).toBe("#/approval/ap_1");
});

test("what the server objects to is shown at its price, and cannot be asked for", async () => {
  const chef = new FakeServer();
  chef.answers.set("GET /jobs/job_1/differences", problem(404, "None."));
  chef.answers.set("POST /modelops/deploy_model_to_agent", {
    dry_run: true,
    summary: "v1.1.0 would serve docs.",
    estimated_cost_usd: 15,
    approval_needed: true,
    afterwards: "Then it is watched.",
    objection: "Not before a demo.",
    details: {},
  });
  open(chef, "compare", { job_id: "job_1" });
  await tell(chef, { ...REPORT, status: "completed", evaluation: EVALUATION });
  fireEvent.click(await screen.findByRole("button", { name: "Deploy v1.1.0" }));
  expect(await screen.findByText("$15.00")).toBeTruthy();
  expect(screen.getByText("Then it is watched.")).toBeTruthy();
  expect(screen.getByText("Not before a demo.")).toBeTruthy();
  const button = screen.getByRole("button", { name: "Ask for approval" });
  expect(button).toHaveProperty("disabled", true);
});

const REGISTRY = {
  schema_version: 1,
  created_at: "2026-01-01T00:00:00Z",
  updated_at: "2026-01-01T00:00:00Z",
  revision: 1,
  agents: {
    docs: {
      agent_name: "docs",
      current: "v1",
      canary: null,
      challengers: [],
      history: [version("v1", null, "2026-01-01"), version("v2", "v1", "2026-02-01")],
      served: [
        {
          version: "v1",
          role: "current",
          percent: 100,
          since: "2026-01-02T00:00:00Z",
          until: null,
        },
      ],
    },
  },
};

test("a registry shows lineage, versions and what served, and anew when it has changed", async () => {
  const chef = new FakeServer();
  chef.answers.set("GET /registry", REGISTRY);
  open(chef, "registry", { agent: "docs" });
  const child = await screen.findByRole("button", { name: "v2 not deployed trained from v1" });
  const parent = screen.getByRole("button", { name: "v1 not deployed" });
  child.focus();
  fireEvent.keyDown(child, { key: "ArrowLeft" });
  expect(document.activeElement).toBe(parent);
  fireEvent.click(child);
  const link = screen.getByRole("link", { name: "What changed since v1" });
  expect(link.getAttribute("href")).toBe("#/versions?agent=docs&a=v1&b=v2");
  expect(screen.getByRole("table", { name: /What served when/ })).toBeTruthy();
  const { docs } = REGISTRY.agents;
  const history = [...docs.history, version("v3", "v2", "2026-03-01")];
  chef.answers.set("GET /registry", { ...REGISTRY, agents: { docs: { ...docs, history } } });
  chef.send("/activity/events", "activity", { type: "activity", seq: 1, action: "registry_add" });
  expect(await screen.findByRole("button", { name: /^v3/ })).toBeTruthy();
});

test("of an agent whose versions have not served, the newest is shown", async () => {
  const chef = new FakeServer();
  const { docs } = REGISTRY.agents;
  const unserved = { ...docs, current: null, served: [] };
  chef.answers.set("GET /registry", { ...REGISTRY, agents: { docs: unserved } });
  open(chef, "registry", { agent: "docs" });
  expect(await screen.findByRole("region", { name: "Version v2" })).toBeTruthy();
  expect(screen.getByText("Nothing of the registry has served yet.")).toBeTruthy();
});

test("two versions stand beside each other with what differs", async () => {
  const chef = new FakeServer();
  const difference = (accuracy: number): Record<string, unknown> => ({
    agent: "docs",
    a: version("v1", null, "2026-01-01"),
    b: version("v2", "v1", "2026-02-01"),
    config: [{ name: "learning_rate", a: 2e-5, b: 1e-5 }],
    scores: [{ name: "accuracy", a: 0.5, b: accuracy }],
  });
  chef.answers.set("GET /registry/docs/compare", difference(0.75));
  open(chef, "versions", { agent: "docs", a: "v1", b: "v2" });
  const score = await screen.findByRole("row", { name: /^accuracy/ });
  expect(score.textContent).toContain("+0.25");
  expect(screen.getByRole("row", { name: /^learning rate/ }).textContent).toContain("1.00e-5");
  chef.answers.set("GET /registry/docs/compare", difference(0.25));
  chef.send("/activity/events", "activity", { type: "activity", seq: 1, action: "registry_set" });
  await waitFor(() => expect(score.textContent).toContain("−0.25"));
});

test("a conversion's files are told with their sizes, and how to use them", async () => {
  const chef = new FakeServer();
  open(chef, "gguf", { job_id: "job_1" });
  const conversion = {
    model: "acme/docs",
    source: "v1.1.0",
    quantization: "Q4_K_M",
    folder: "models/docs",
    files: [{ path: "docs-Q4_K_M.gguf", bytes: 1_500_000, sha256: "ab".repeat(32) }],
    parameters: 3_000_000,
    hub_url: null,
    not_published: "Nobody asked for it.",
    tokenizer_checks: [101, 101],
    ollama_template: true,
    usage: { "llama.cpp": "llama-cli -m docs-Q4_K_M.gguf" },
    beside_parent: null,
    not_evaluated: null,
  };
  await tell(chef, { ...REPORT, kind: "conversion" });
  expect(await screen.findByText("There is no file yet.")).toBeTruthy();
  await tell(chef, { ...REPORT, status: "completed", kind: "conversion", conversion });
  expect(await screen.findByText("1.5 MB")).toBeTruthy();
  expect(screen.getByText("llama-cli -m docs-Q4_K_M.gguf")).toBeTruthy();
  expect(screen.getByRole("button", { name: "Copy what llama.cpp needs" })).toBeTruthy();
});

test("jobs are listed as they stand, and by their status when asked", async () => {
  const chef = new FakeServer();
  chef.answers.set("GET /jobs", (request: Request) => {
    const status = new URL(request.url).searchParams.get("status") ?? "running";
    return {
      jobs: [
        {
          job_id: `job_${status}`,
          kind: "training",
          agent: "docs",
          status,
          backend: "local",
          request: {},
          requester: "ada",
          created_at: 1_790_000_000,
          updated_at: 1_790_000_000,
          finished_at: null,
          estimated_cost_usd: 2,
          estimated_minutes: 5,
          actual_cost_usd: null,
          approval_id: null,
          error: null,
        },
      ],
    };
  });
  open(chef, "jobs");
  expect(await screen.findByText("job_running")).toBeTruthy();
  fireEvent.change(screen.getByLabelText("Status"), { target: { value: "failed" } });
  expect(await screen.findByText("job_failed")).toBeTruthy();
  chef.answers.set("GET /jobs", { jobs: [] });
  chef.send("/activity/events", "activity", { type: "activity", seq: 1, action: "job_resumed" });
  expect(await screen.findByText("There are no such jobs.")).toBeTruthy();
});
