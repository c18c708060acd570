import { afterEach, expect, test } from "vitest";

import { createClient, describedRequests, priceTraining, tryOut } from "../src/index.js";
import { bodyOf, json, Loopback } from "./loopback.js";

let server: Loopback | undefined;
afterEach(async () => {
  await server?.stop();
});

const plan = (usd: number): object => ({
  dry_run: true,
  summary: "It trains.",
  estimated_cost_usd: usd,
  details: {},
});

const refusal = (where: string): object => ({
  type: "urn:code-chef:problem:input-error",
  title: "Input error",
  status: 422,
  detail: "It is no number.",
  remedy: "Give one.",
  errors: [{ where, message: "No number." }],
  checklist: [],
});

test("a training is tried dry in every mode, and what is refused is part of the answer", async () => {
  const asked: unknown[] = [];
  server = await Loopback.start((request, response) => {
    void bodyOf(request).then((body) => {
      asked.push(body);
      if ((body as { mode: string }).mode === "demo") json(response, plan(0.5));
      else json(response, refusal("body.mode"), 422);
    });
  });
  const api = createClient({ baseUrl: server.url });
  const [demo, production] = await priceTraining(api, { agent: "docs" });
  expect([demo?.mode, production?.mode]).toEqual(["demo", "production"]);
  expect(demo?.planned?.estimated_cost_usd).toBe(0.5);
  expect(production?.problem?.message).toBe("It is no number.");
  expect(asked).toContainEqual({ agent: "docs", mode: "demo", dry_run: true });
});

test.each([
  ["body.max_examples", "max_examples", "No number."],
  ["body.max_examples.int", "max_examples", "No number."],
  ["body.overrides.seed", "overrides.seed", "No number."],
  ["body.max_examples", "max", undefined],
])("what is wrong at %s is said of %s: %s", async (where, field, said) => {
  server = await Loopback.start((_request, response) => json(response, refusal(where), 422));
  const api = createClient({ baseUrl: server.url });
  const { problem } = await tryOut(api, "train_subagent_model", { agent: "docs" });
  expect(problem?.about(field)).toBe(said);
});

test("the document describes the fields of a request; what it does not know has none", async () => {
  const properties = { agent: {}, mode: { description: "How much.", default: "demo" } };
  const document = { components: { schemas: { TrainSubagentModel: { properties }, Empty: {} } } };
  server = await Loopback.start((_request, response) => json(response, document));
  const api = createClient({ baseUrl: server.url });
  const described = await describedRequests(api, new AbortController().signal);
  expect(described("TrainSubagentModel")["mode"]?.default).toBe("demo");
  expect(described("Empty")).toEqual({});
  expect(described("Nothing")).toEqual({});
});
