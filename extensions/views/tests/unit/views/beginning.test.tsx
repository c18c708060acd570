import type { View } from "@codechef/client";
import { cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/preact";
import { afterEach, beforeEach, expect, test } from "vitest";

import { App } from "../../../src/app.js";
import { ADA, type Answer, fakeHost, FakeServer, problem } from "../fake_host.js";
import { version } from "./records.js";

afterEach(cleanup);

const TRAIN = "POST /modelops/train_subagent_model";
const EVALUATE = "POST /modelops/evaluate_model_vs_baseline";

const agent = (name: string, newest: string | null): object => ({
  agent: name,
  model: `acme/${name}`,
  version: null,
  newest,
  arms: [],
  rollout_id: null,
  phase: null,
});
const dataset = (id: string, of: string): object => ({
  dataset: id,
  agent: of,
  origin: "a file",
  created_at: "now",
  counts: { train: 48, eval: 12 },
  findings: 0,
});
const PROPERTIES = {
  dataset: { description: "The newest when left out." },
  method: { default: "sft", enum: ["sft", "dpo"] },
  mode: { default: "demo", enum: ["demo", "production"] },
  max_examples: { anyOf: [{ type: "integer" }, { type: "null" }] },
  backend: { anyOf: [{ enum: ["local", "hf_jobs"] }, { type: "null" }] },
  override_reason: { description: "Why without a demo." },
};
const plan = (changes: object = {}): Answer => ({
  dry_run: true,
  summary: "It trains.",
  estimated_cost_usd: 0,
  cost_is_per_hour: false,
  estimated_minutes: 2,
  approval_needed: false,
  afterwards: null,
  objection: null,
  details: { base_model: "tiny", hyperparameters: { learning_rate: 0.001, seed: 0, lora: {} } },
  ...changes,
});

let chef: FakeServer;
beforeEach(() => {
  chef = new FakeServer();
  chef.answers.set("GET /overview", {
    agents: [agent("docs", "v1.0.0"), agent("cicd", null)],
    processes: [],
    pending_approvals: 0,
    running_jobs: 0,
    unfinished_intents: 0,
  });
  chef.answers.set("GET /registry", {
    agents: { docs: { agent_name: "docs", history: [version("v1.0.0", null, "2026-01-01")] } },
  });
  chef.answers.set("POST /modelops/list_datasets", {
    datasets: [dataset("docs-2", "docs"), dataset("docs-1", "docs")],
  });
  const schemas = {
    TrainSubagentModel: { properties: PROPERTIES },
    EvaluateModelVsBaseline: { properties: { baseline: { description: "What serves." } } },
    BuildDataset: { properties: { source: { default: "langsmith" } } },
  };
  chef.answers.set("GET /openapi.json", { components: { schemas } });
});

function open(view: View, params: Record<string, string> = {}): ReturnType<typeof fakeHost> {
  const host = fakeHost(chef, { view, params });
  render(<App host={host} />);
  return host;
}

type Body = Record<string, unknown>;

/** What was asked for in earnest. */
const begun = (): Body[] =>
  chef.asked
    .filter(({ method, path }) => method === "POST" && path !== "/modelops/list_datasets")
    .map(({ body }) => body as Body)
    .filter(({ dry_run }) => dry_run !== true);

const lastBody = (): Body => chef.asked[chef.asked.length - 1]?.body as Body;

const type = (label: string, value: string): void => {
  fireEvent.input(screen.getByLabelText(label), { target: { value } });
};

test("a training is priced in both modes, and begun in the one that was chosen", async () => {
  chef.answers.set(TRAIN, () => {
    const { dry_run, mode } = lastBody();
    const usd = mode === "production" ? 15 : 0.5;
    return dry_run ? plan({ estimated_cost_usd: usd }) : { job_id: "job_1" };
  });
  const host = open("train");
  expect(await screen.findByRole("radio", { name: "demo $0.50" })).toHaveProperty("checked", true);
  fireEvent.click(screen.getByRole("radio", { name: "production $15.00" }));
  type("learning rate", "0.005");
  expect(screen.getByRole("button", { name: "Train" })).toHaveProperty("disabled", true);
  await waitFor(() =>
    expect(screen.getByRole("button", { name: "Train" })).toHaveProperty("disabled", false),
  );
  fireEvent.click(screen.getByRole("button", { name: "Train" }));
  await waitFor(() => expect(host.route.value?.view).toBe("job"));
  expect(begun()).toEqual([
    {
      agent: "docs",
      dataset: "docs-2",
      mode: "production",
      overrides: { learning_rate: 0.005 },
    },
  ]);
});

test("a form whose fields nobody describes says why, and comes when it is asked for again", async () => {
  const document = chef.answers.get("GET /openapi.json") as Answer;
  chef.answers.set("GET /openapi.json", problem(404, "There is no document."));
  chef.answers.set(TRAIN, plan());
  open("train");
  await screen.findByText("There is no document.");
  chef.answers.set("GET /openapi.json", document);
  fireEvent.click(screen.getByRole("button", { name: "Try again" }));
  expect(await screen.findByRole("radio", { name: "demo $0.00" })).toBeTruthy();
});

test("a price that has changed on the server changes in the form", async () => {
  chef.answers.set(TRAIN, plan({ estimated_cost_usd: 1 }));
  open("train");
  await screen.findByRole("radio", { name: "demo $1.00" });
  chef.answers.set(TRAIN, plan({ estimated_cost_usd: 2, summary: "It trains longer." }));
  await chef.following("/activity/events");
  chef.send("/activity/events", "activity", { action: "job_completed", subject: "docs" });
  expect(await screen.findByRole("radio", { name: "demo $2.00" })).toBeTruthy();
  expect(screen.getAllByText("It trains longer.")).toHaveLength(2);
});

test("what the server refuses stands at its field, in its words", async () => {
  chef.answers.set(TRAIN, () => {
    const { max_examples } = lastBody();
    if (max_examples === undefined) return plan();
    const message = `max_examples: ${JSON.stringify(max_examples)} is no number.`;
    const errors = [{ where: "body.max_examples", message }];
    const told = { type: "urn:x", title: "", status: 422, detail: message, remedy: "Give one." };
    return Response.json({ ...told, errors, checklist: [] }, { status: 422 });
  });
  open("train");
  await screen.findByRole("radio", { name: "demo $0.00" });
  type("max examples", "many");
  expect(await screen.findByText('max_examples: "many" is no number. Give one.')).toBeTruthy();
  expect(screen.getByLabelText("max examples").getAttribute("aria-invalid")).toBe("true");
  expect(screen.getByRole("button", { name: "Train" })).toHaveProperty("disabled", true);
  expect(screen.getByLabelText("learning rate")).toBeTruthy(); // what was known stays
});

test("what stands against a mode is said with its price, and overcome by a reason", async () => {
  chef.answers.set(TRAIN, () => {
    const { mode, override_reason: reason } = lastBody();
    return plan(mode === "production" && !reason ? { objection: "No demo yet." } : {});
  });
  open("train");
  fireEvent.click(await screen.findByRole("radio", { name: /production/ }));
  expect(await screen.findByText("No demo yet.")).toBeTruthy();
  expect(screen.getByRole("button", { name: "Train" })).toHaveProperty("disabled", true);
  type("override reason", "known");
  await waitFor(() =>
    expect(screen.getByRole("button", { name: "Train" })).toHaveProperty("disabled", false),
  );
});

test("an agent without data is offered to have some built", async () => {
  chef.answers.set(TRAIN, plan());
  open("train", { agent: "cicd" });
  expect(await screen.findByRole("button", { name: "Build a data set" })).toBeTruthy();
});

test("what became of a data set's building stays to be read when the form has it already", async () => {
  chef.answers.set(TRAIN, plan());
  chef.answers.set("POST /modelops/build_dataset", () =>
    lastBody()["dry_run"] === true ? plan({ summary: "It reads a file." }) : { dataset: "cicd-1" },
  );
  open("train", { agent: "cicd" });
  fireEvent.click(await screen.findByRole("button", { name: "Build a data set" }));
  const dialog = await screen.findByRole("dialog", { name: "Build a data set" });
  fireEvent.click(await within(dialog).findByRole("button", { name: "Build a data set" }));
  await within(dialog).findByText("Done.");
  chef.answers.set("POST /modelops/list_datasets", { datasets: [dataset("cicd-1", "cicd")] });
  await chef.following("/activity/events");
  chef.send("/activity/events", "activity", { type: "activity", seq: 1, action: "dataset_built" });
  await screen.findByRole("option", { name: /^cicd-1/ });
  expect(screen.queryAllByRole("button", { name: "Build a data set" })).toEqual([]);
  fireEvent.click(within(dialog).getByRole("button", { name: "Close" }));
  expect(screen.queryByRole("dialog")).toBeNull();
});

test("an evaluation that needs an approval leads to it", async () => {
  chef.answers.set(EVALUATE, () =>
    lastBody()["dry_run"]
      ? plan({ approval_needed: true, summary: "It evaluates v1.0.0." })
      : Response.json({ approval_id: "ap_1", detail: "It waits.", approval: {} }, { status: 202 }),
  );
  const host = open("evaluate");
  expect(await screen.findByText("It evaluates v1.0.0.")).toBeTruthy();
  type("baseline", "acme/other");
  await waitFor(() => {
    const button = screen.getByRole("button", { name: "Ask for approval" });
    expect(button).toHaveProperty("disabled", false);
  });
  fireEvent.click(screen.getByRole("button", { name: "Ask for approval" }));
  await waitFor(() =>
    expect(host.route.value).toEqual({ view: "approval", params: { approval_id: "ap_1" } }),
  );
  expect(begun()).toEqual([{ agent: "docs", baseline: "acme/other" }]);
});

test("why a training did not begin is said as long as the form says the same", async () => {
  chef.answers.set(TRAIN, () =>
    lastBody()["dry_run"] ? plan() : problem(409, "The month's budget is spent."),
  );
  open("train");
  await screen.findByRole("radio", { name: "demo $0.00" });
  fireEvent.click(screen.getByRole("button", { name: "Train" }));
  await screen.findByText("The month's budget is spent.");
  type("max examples", "10");
  await waitFor(() => expect(screen.queryByText("The month's budget is spent.")).toBeNull());
});

test("the overview leads to both, for who may begin something", async () => {
  chef.answers.set("GET /jobs", { jobs: [] });
  chef.answers.set("GET /approvals", { approvals: [] });
  open("overview");
  const link = await screen.findByRole("link", { name: "Evaluate a model of docs" });
  expect(link.getAttribute("href")).toBe("#/evaluate?agent=docs");
  expect(screen.getByRole("link", { name: "Train a model for cicd" })).toBeTruthy();
  expect(screen.queryByRole("link", { name: "Evaluate a model of cicd" })).toBeNull();
  cleanup();
  chef.answers.set("GET /me", { ...ADA, role: "viewer", may: ["read"] });
  open("overview");
  await screen.findByText("acme/docs");
  expect(screen.queryByRole("link", { name: "Train a model for docs" })).toBeNull();
});
