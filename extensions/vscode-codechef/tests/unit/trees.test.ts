import { afterEach, beforeEach, expect, test } from "vitest";

import { json } from "../../../client/tests/loopback.js";
import { ApiDouble } from "../double.js";
import { eventually } from "../eventually.js";
import { editor, screen, workspace } from "../fakes/vscode.js";
import { approval, OVERVIEW, Workplace } from "../workplace.js";

let place: Workplace;
beforeEach(async () => {
  place = await Workplace.open();
});
afterEach(async () => {
  await place.close();
});

const JOB = {
  job_id: "job_1",
  kind: "training",
  agent: "docs",
  status: "running",
  requester: "ada",
  created_at: 1_790_000_000,
  error: null,
};

test("agents show what serves them, how it is split, and their versions", async () => {
  const arms = [
    { name: "stable", model: "tiny-docs", version: "v1.0.0", weight: 80, mirror: 0 },
    { name: "candidate", model: "tiny-docs-2", version: "v1.1.0", weight: 20, mirror: 0 },
  ];
  const docs = { ...OVERVIEW.agents[0], arms, rollout_id: "ro_1", phase: "running" };
  place.api.on("GET /overview", { ...OVERVIEW, agents: [docs] });
  place.api.on("GET /registry/docs", {
    history: [
      {
        version: "v1.1.0",
        model_id: "tiny-docs-2",
        deployment_status: "canary",
        eval_scores: { accuracy: 0.91 },
        changelog: "",
        notes: "",
      },
    ],
  });
  await place.show();
  expect(await place.lines("agents")).toEqual([
    "docs | v1.0.0 · tiny-docs · running",
    "  stable | 80 % · v1.0.0 · tiny-docs",
    "  candidate | 20 % · v1.1.0 · tiny-docs-2",
    "  Versions",
    "    v1.1.0 | canary · accuracy 0.91",
  ]);
});

test("a running job shows its progress while it is looked at, and is not followed otherwise", async () => {
  place.api.on("GET /jobs", { jobs: [JOB] });
  await place.show();
  await place.api.listened("/jobs/job_1/events");
  place.api.tell("/jobs/job_1/events", {
    status: "running",
    progress_pct: 50,
    current_loss: 0.5,
    eta_minutes: null,
    message: "",
  });
  await eventually(async () =>
    expect(await place.lines("jobs")).toEqual(["training of docs | 50 % · loss 0.5"]),
  );
  screen.trees.get("codechef.jobs")?.show(false);
  await eventually(() => expect(place.api.listening("/jobs/job_1/events")).toBe(0));
});

test("a job that is looked away from and at again is followed on", async () => {
  place.api.on("GET /jobs", { jobs: [JOB] });
  await place.show();
  await place.api.listened("/jobs/job_1/events");
  screen.trees.get("codechef.jobs")?.show(false);
  screen.trees.get("codechef.jobs")?.show(true);
  await eventually(() => expect(place.api.asked("GET /jobs/job_1/events")).toHaveLength(2));
  await eventually(() => expect(place.api.listening("/jobs/job_1/events")).toBe(1));
});

test("what happens on the server shows without asking again and again", async () => {
  await place.show();
  await place.api.listened("/activity/events");
  await place.api.listened("/jobs/events");
  const before = place.api.asked("GET /jobs").length;
  place.api.on("GET /jobs", { jobs: [{ ...JOB, status: "completed" }] });
  for (let turn = 0; turn < 20; turn += 1) place.api.tell("/jobs/events", { job_id: "job_1" });
  await eventually(async () =>
    expect(await place.lines("jobs")).toEqual(["training of docs | completed"]),
  );
  expect(place.api.asked("GET /jobs").length - before).toBeLessThan(20);
});

test("what changes while the server is slow to answer is seen all the same", async () => {
  await place.show();
  await place.api.listened("/jobs/events");
  let answerLate = (): void => undefined;
  place.api.answer("GET /jobs", (_heard, response) => {
    answerLate = () => json(response, { jobs: [JOB] });
  });
  const first = place.desk.picture.look();
  const asked = place.api.asked("GET /jobs").length;
  await eventually(() => expect(place.api.asked("GET /jobs").length).toBeGreaterThan(asked));
  place.api.on("GET /jobs", { jobs: [{ ...JOB, status: "completed" }] });
  const second = place.desk.picture.look();
  answerLate();
  await Promise.all([first, second]);
  expect(await place.lines("jobs")).toEqual(["training of docs | completed"]);
});

test("nothing of one server is shown as another's, whoever is signed in there", async () => {
  const other = await ApiDouble.start();
  await place.show();
  place.desk.views.open({ view: "jobs", params: {} });
  place.api.answer("GET /overview", () => undefined); // it hangs
  void place.desk.picture.look();
  await workspace.getConfiguration("codechef").update("apiUrl", other.url);
  expect(await place.lines("agents")).toEqual([]);
  other.on("GET /overview", { ...OVERVIEW, agents: [{ ...OVERVIEW.agents[0], agent: "cicd" }] });
  for (const name of ["jobs", "rollouts", "approvals"]) other.on(`GET /${name}`, { [name]: [] });
  other.on("GET /registry/cicd", { history: [] });
  await eventually(async () =>
    expect(await place.lines("agents")).toEqual(["cicd | v1.0.0 · tiny-docs", "  Versions"]),
  );
  expect(screen.panels[0]?.webview.html).toContain(`data-server="${other.url}"`);
  await other.stop();
});

test("approvals that wait for one's own answer are counted on the badge", async () => {
  place.api.on("GET /approvals", {
    approvals: [
      approval(),
      approval({ id: "ap_2", may_answer: false, requester: "bob" }),
      approval({ id: "ap_3", status: "consumed" }),
    ],
  });
  await place.show();
  expect(screen.trees.get("codechef.approvals")?.badge?.value).toBe(1);
  expect(await place.lines("approvals")).toEqual([
    "Deploy docs v1.1.0 | asked by ada · up to $3.00",
    "Deploy docs v1.1.0 | asked by bob · up to $3.00",
  ]);
});

test("a rollout shows its verdict as it stands", async () => {
  const arms = [{ name: "stable", model: "a", version: null, weight: 80, mirror: 0 }];
  const rollout = {
    id: "ro_1",
    agent: "docs",
    strategy: "canary",
    phase: "running",
    arms,
    reason: "",
  };
  place.api.on("GET /rollouts", { rollouts: [rollout] });
  await place.show();
  await place.api.listened("/rollouts/ro_1/events");
  place.api.tell("/rollouts/ro_1/events", { phase: "running", verdict: "inconclusive" });
  await eventually(async () =>
    expect((await place.lines("rollouts"))[0]).toBe("docs: canary | running · inconclusive · 80"),
  );
});

test("the status bar shows what runs and what waits, and opens what needs the person", async () => {
  place.api.on("GET /overview", { ...OVERVIEW, running_jobs: 2, pending_approvals: 1 });
  await place.show();
  const [item] = screen.statusBar;
  expect(item).toMatchObject({
    text: "$(beaker) chef $(sync~spin) 2 $(bell-dot) 1",
    command: "codechef.approvals",
    visible: true,
  });
  expect(item?.tooltip).toContain("ada (admin)");
});

test("nothing of a server stands in the trees after it has refused us", async () => {
  await place.show();
  expect(await place.lines("agents")).not.toEqual([]);
  place.api.token = "another";
  place.api.hangUp();
  await eventually(async () => expect(await place.lines("agents")).toEqual([]));
  expect(editor.context.get("codechef.seen")).toBe(false);
});

test("what is done from a line of a tree asks for that and nothing else", async () => {
  place.api.on("GET /registry/docs", {
    history: [
      {
        version: "v1.1.0",
        model_id: "m",
        deployment_status: "not_deployed",
        eval_scores: null,
        changelog: "",
        notes: "",
      },
    ],
  });
  await place.show();
  for (const useCase of ["evaluate_model_vs_baseline", "deploy_model_to_agent"])
    place.useCase(useCase, {});
  editor.onPick = (items) => items[0];
  place.useCase("list_agent_models", { versions: [] });
  const [docs] = await place.nodes("agents");
  const [versions] = await place.nodes("agents", docs);
  const [version] = await place.nodes("agents", versions);
  await place.run("evaluateAgentModel", version);
  await place.run("deployAgentModel", version);
  const of = (name: string): unknown => place.api.asked(`POST /modelops/${name}`).at(-1)?.body;
  const dry = { dry_run: true, agent: "docs" };
  expect(of("evaluate_model_vs_baseline")).toEqual({ ...dry, candidate: "v1.1.0", baseline: null });
  expect(of("deploy_model_to_agent")).toEqual({ ...dry, version: "v1.1.0", strategy: "canary" });
});
