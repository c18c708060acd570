import { afterEach, beforeEach, expect, test } from "vitest";

import { json, streaming } from "../../../client/tests/loopback.js";
import { ApiDouble, problem } from "../double.js";
import { eventually } from "../eventually.js";
import { editor, screen, workspace } from "../fakes/vscode.js";
import { approval, PLANNED, Workplace } from "../workplace.js";

const REPORT = {
  job_id: "job_1",
  kind: "training",
  agent: "docs",
  status: "running",
  message: "",
  progress_pct: 40,
  current_loss: 0.123456,
  eta_minutes: 3,
  tensorboard_url: "http://127.0.0.1:6006/#job_1",
  version: null,
  error: null,
  evaluation: null,
};

let place: Workplace;
beforeEach(async () => {
  place = await Workplace.open();
  place.api.on("GET /jobs/job_1", REPORT);
});
afterEach(async () => {
  await place.close();
});

/** Presses the first button of every dialog that names what will change. */
const confirm = (): void => {
  editor.onMessage = ({ modal, buttons }) => (modal ? buttons[0] : undefined);
};

/** Has a job report once while it runs, then that it has completed. */
function jobRuns(changes: object = {}): void {
  place.api.answer("GET /jobs/job_1/events", (_heard, response) => {
    const write = streaming(response);
    write("report", REPORT);
    write("report", { ...REPORT, status: "completed", progress_pct: 100, ...changes });
  });
}

test("a training is priced in both modes, confirmed, started, and watched to its end", async () => {
  place.useCase("train_subagent_model", { job_id: "job_1" });
  place.useCase("list_datasets", {
    datasets: [
      {
        dataset: "docs-1",
        agent: "docs",
        origin: "hub",
        created_at: "now",
        counts: { train: 9 },
        findings: 0,
      },
    ],
  });
  jobRuns({ version: "v1.1.0" });
  editor.onPick = (items) => items.find(({ label }) => label === "production") ?? items[0];
  confirm();
  await place.run("trainAgentModel");
  const [agents, datasets, modes] = editor.picks;
  expect(agents?.items.map(({ label }) => label)).toEqual(["docs"]);
  expect(datasets?.items[0]?.description).toBe("9 train");
  expect(modes?.items.map(({ label, description }) => [label, description])).toEqual([
    ["demo", "$1.50"],
    ["production", "$1.50"],
    ["Change Method or Size…", ""],
  ]);
  expect(editor.messages[0]).toMatchObject({
    modal: true,
    text: "Train docs on docs-1",
    buttons: ["Train"],
  });
  expect(editor.messages[0]?.detail).toContain("Estimated cost: $1.50");
  expect(place.done("train_subagent_model")).toEqual([
    { agent: "docs", dataset: "docs-1", mode: "production" },
  ]);
  expect(editor.progress[0]).toContain("40 % · loss 0.1235 · 3 min left");
  expect(editor.progress[0]).toContain("[Plots](http://127.0.0.1:6006/#job_1)");
  expect(editor.messages.at(-1)?.text).toContain("job_1 completed: docs v1.1.0");
});

test("what is given to a command is not asked for, and nothing happens without a confirmation", async () => {
  place.useCase("train_subagent_model", { job_id: "job_1" });
  const given = { agent: "docs", dataset: "docs-1", mode: "demo" };
  expect(await place.run("trainAgentModel", given)).toEqual({ kind: "left" });
  expect(editor.picks).toEqual([]);
  expect(editor.messages).toHaveLength(1);
  expect(place.done("train_subagent_model")).toEqual([]);
});

test("a mode that the server objects to is priced, and begun only for a reason that the person gives", async () => {
  place.api.answer("POST /modelops/train_subagent_model", ({ body }, response) => {
    const { mode, override_reason: reason } = body as Record<string, unknown>;
    const objection = mode === "production" && !reason ? "No demo yet." : null;
    json(response, { ...PLANNED, estimated_cost_usd: mode === "demo" ? 0.5 : 15, objection });
  });
  editor.onPick = (items) => items.find(({ label }) => label === "production");
  editor.onInput = () => "I know what I do";
  await place.run("trainAgentModel", { agent: "docs", dataset: "docs-1" });
  expect(editor.picks[0]?.items.map(({ description }) => description)).toEqual([
    "$0.50",
    "$15.00",
    "",
  ]);
  expect(editor.picks[0]?.items[1]?.detail).toContain("No demo yet.");
  expect(editor.inputs[0]?.prompt).toContain("No demo yet.");
  const bodies = place.api.asked("POST /modelops/train_subagent_model").map(({ body }) => body);
  expect(bodies.at(-1)).toMatchObject({ mode: "production", override_reason: "I know what I do" });
});

test("a job that is no longer watched goes on, unless the person cancels it", async () => {
  place.useCase("cancel_training_job", { job_id: "job_1", status: "cancelled" });
  let asked = 0;
  place.api.answer("GET /jobs/job_1/events", (_heard, response) => {
    asked += 1;
    const ended = place.done("cancel_training_job").length > 0;
    streaming(response)("report", { ...REPORT, status: ended ? "cancelled" : "running" });
  });
  editor.onProgress = () => editor.shown?.cancel();
  editor.onMessage = ({ modal, buttons }) => (modal ? buttons[0] : undefined);
  await place.run("monitorTrainingJob", { job_id: "job_1" });
  expect(editor.messages[0]?.buttons).toEqual(["Cancel the Job", "Only Stop Watching"]);
  expect(place.done("cancel_training_job")).toEqual([{ job_id: "job_1" }]);
  expect(asked).toBe(2);

  editor.onMessage = ({ buttons }) => buttons.find((button) => button.startsWith("Only"));
  place.api.answer("GET /jobs/job_1/events", (_heard, response) => {
    streaming(response)("report", REPORT);
  });
  expect(await place.run("monitorTrainingJob", { job_id: "job_1" })).toBeUndefined();
  expect(place.done("cancel_training_job")).toHaveLength(1);
});

/** Has a deployment wait for an approval. */
function deployWaits(changes: Parameters<typeof approval>[0]): void {
  const waiting = approval(changes);
  place.api.answer("POST /modelops/deploy_model_to_agent", ({ body }, response) => {
    if ((body as { dry_run?: boolean }).dry_run) {
      json(response, {
        summary: "Deploy",
        estimated_cost_usd: 0,
        approval_needed: true,
        details: {},
      });
    } else json(response, { approval_id: "ap_1", detail: "waits", approval: waiting }, 202);
  });
  place.api.on("GET /approvals/ap_1", waiting);
  place.api.on("POST /approvals/ap_1/resume", {
    use_case: "deploy_model_to_agent",
    result: { rollout_id: "ro_1" },
  });
}

const DEPLOYED = { agent: "docs", version: "v1.1.0", strategy: "canary" };

test("an approval that the person may give is shown to them, and then carried out", async () => {
  deployWaits({ may_answer: true });
  place.api.on("POST /approvals/ap_1/answer", approval({ status: "approved" }));
  confirm();
  const outcome = await place.run("deployAgentModel", DEPLOYED);
  expect(editor.messages.filter(({ modal }) => modal).map(({ buttons }) => buttons)).toEqual([
    ["Deploy"],
    ["Approve", "Reject…"],
  ]);
  expect(editor.messages[1]?.detail).toContain("Costs at most $3.00");
  expect(place.api.asked("POST /approvals/ap_1/answer")[0]?.body).toEqual({
    approve: true,
    reason: "",
  });
  expect(outcome).toEqual({ kind: "done", result: { rollout_id: "ro_1" } });
});

test("an approval that somebody else gives later is told, and carried out at the person's word", async () => {
  deployWaits({ may_answer: false });
  confirm();
  expect(await place.run("deployAgentModel", DEPLOYED)).toEqual({
    kind: "waiting",
    approvalId: "ap_1",
  });
  expect(editor.said).toContain("ada (admin) may not");
  expect(place.api.asked("POST /approvals/ap_1/answer")).toEqual([]);

  place.desk.server.start();
  await place.api.listened("/activity/events");
  place.api.on("GET /approvals/ap_1", approval({ status: "approved", approver: "grace" }));
  editor.onMessage = ({ buttons }) => buttons.find((button) => button === "Carry Out");
  place.api.tell("/activity/events", { action: "approved", subject: "ap_1" });
  await eventually(() => expect(place.api.asked("POST /approvals/ap_1/resume")).toHaveLength(1));
  expect(editor.said).toContain("Approved by grace");
});

test("an approval is waited for also while the editor is at another server", async () => {
  deployWaits({ may_answer: false });
  confirm();
  await place.run("deployAgentModel", DEPLOYED);
  place.desk.server.start();
  await place.api.listened("/activity/events");
  const other = await ApiDouble.start();
  const address = workspace.getConfiguration("codechef");
  await address.update("apiUrl", other.url);
  await other.listened("/activity/events");
  other.tell("/activity/events", { action: "approved", subject: "ap_9" });
  await expect.poll(() => other.asked("GET /overview")).not.toHaveLength(0);
  place.api.on("GET /approvals/ap_1", approval({ status: "approved", approver: "grace" }));
  await address.update("apiUrl", place.api.url);
  await expect.poll(() => editor.said).toContain("Approved by grace");
  expect(other.asked("GET /approvals/ap_1")).toEqual([]);
  await other.stop();
});

test("a rejection is answered with its reason, and nothing is carried out", async () => {
  deployWaits({ may_answer: true });
  place.api.on("POST /approvals/ap_1/answer", approval({ status: "rejected" }));
  editor.onMessage = ({ buttons }) => buttons.find((one) => ["Deploy", "Reject…"].includes(one));
  editor.onInput = () => "too early";
  expect(await place.run("deployAgentModel", DEPLOYED)).toEqual({ kind: "left" });
  expect(place.api.asked("POST /approvals/ap_1/answer")[0]?.body).toEqual({
    approve: false,
    reason: "too early",
  });
  expect(place.api.asked("POST /approvals/ap_1/resume")).toEqual([]);
});

test("a deployment against its checklist needs a reason, and shows the points", async () => {
  place.api.answer("POST /modelops/deploy_model_to_agent", ({ body }, response) => {
    if ((body as { override_reason?: string }).override_reason) {
      json(response, {
        summary: "Deploy",
        estimated_cost_usd: 0,
        approval_needed: true,
        details: {},
      });
    } else {
      const checklist = [{ name: "evaluation", verdict: "fail", message: "says reject" }];
      json(response, { ...problem(424, "The checklist stands against it."), checklist }, 424);
    }
  });
  editor.onMessage = ({ buttons }) => buttons.find((one) => one.startsWith("Deploy All"));
  editor.onInput = () => "a drill";
  await place.run("deployAgentModel", DEPLOYED);
  expect(editor.messages[0]?.detail).toContain("fail: evaluation: says reject");
  const asked = place.api.asked("POST /modelops/deploy_model_to_agent");
  expect(asked.at(-1)?.body).toMatchObject({ override_reason: "a drill" });
});

test("what goes wrong is told in the server's words", async () => {
  place.api.on(
    "POST /modelops/rollback_deployment",
    problem(403, "'vic' is 'viewer' here.", "Ask somebody who is operator."),
    403,
  );
  await place.run("rollBack", { agent: "docs" });
  expect(editor.messages.map(({ severity, text }) => [severity, text])).toEqual([
    ["error", "'vic' is 'viewer' here. Ask somebody who is operator."],
  ]);
});

test("names of the server make neither icons nor links in a picker", async () => {
  place.api.on("POST /modelops/list_agent_models", {
    agent: "docs",
    versions: [
      {
        version: "$(flame) [x](command:y)",
        model_id: "m",
        status: "not_deployed",
        accuracy: null,
        improvement_pct: null,
        recommendation: null,
        method: null,
        dataset: null,
      },
    ],
  });
  editor.onPick = (items) => (items[0]?.label === "docs" ? items[0] : undefined);
  await place.run("listAgentModels");
  expect(editor.picks[1]?.items[0]?.label).toBe("$ (flame) [x] (command:y)");
});

test("an address of plots ends its link nowhere but at its end", async () => {
  const url = "http://127.0.0.1:6006/a)[b](command:c)";
  place.api.answer("GET /jobs/job_1/events", (_heard, response) => {
    streaming(response)("report", { ...REPORT, status: "completed", tensorboard_url: url });
  });
  await place.run("monitorTrainingJob", { job_id: "job_1" });
  expect(editor.progress[0]).toContain("[Plots](http://127.0.0.1:6006/a%29[b]%28command:c%29)");
});

test("what the server objects to makes no link where a reason is asked for", async () => {
  place.useCase("train_subagent_model", {}, { objection: "[a](command:b)" });
  await place.run("trainAgentModel", { agent: "docs", dataset: "docs-1", mode: "demo" });
  expect(editor.inputs[0]?.prompt).toContain("[a] (command:b)");
});

test("a simulation is the view, or the server's numbers for given rates", async () => {
  await place.run("simulateCanary", { agent: "docs" });
  expect(screen.panels.map(({ title }) => title)).toEqual(["Simulator docs"]);
  place.useCase("simulate_canary", { rollback_rate: 0.9 });
  expect(await place.run("simulateCanary", { candidate_rate: 0.5 })).toEqual({
    rollback_rate: 0.9,
  });
});

test("a request whose answer was lost is sent again under the same key", async () => {
  let cut = 0;
  place.api.answer("POST /modelops/rollback_deployment", ({ body }, response) => {
    const dry = (body as { dry_run?: boolean }).dry_run;
    if (!dry && cut++ === 0) response.destroy();
    else if (dry) json(response, PLANNED);
    else json(response, { agent: "docs", model: "m", version: "v1", seconds: 0.1, drill: null });
  });
  confirm();
  await place.run("rollBack", { agent: "docs" });
  const [first, second] = place.api.asked("POST /modelops/rollback_deployment").slice(1);
  expect(first?.key).toMatch(/^[0-9a-f]{32}$/);
  expect(second?.key).toBe(first?.key);
  expect(editor.said).toContain("docs is served by m v1");
});

test("comparisons, rollouts and files open from the palette, of what is there", async () => {
  const job = { job_id: "job_9", agent: "docs", status: "completed", created_at: 1_790_000_000 };
  const jobs = [
    { ...job, kind: "training" },
    { ...job, kind: "evaluation", job_id: "job_e" },
    { ...job, kind: "conversion", job_id: "job_c" },
  ];
  place.api.on("GET /jobs", { jobs });
  const rollout = { id: "ro_1", agent: "docs", strategy: "canary", phase: "running" };
  place.api.on("GET /rollouts", { rollouts: [{ ...rollout, started_at: 1_790_000_000 }] });
  editor.onPick = (items) => items[0];
  await place.run("showComparison");
  await place.run("showGgufUsage");
  await place.run("showRollout");
  await place.run("compareVersions", { agent: "docs", version: "v1", other: "v2" });
  expect(screen.panels.map(({ title }) => title)).toEqual([
    "Compare job_e",
    "GGUF job_c",
    "Rollout ro_1",
    "Versions docs v1 v2",
  ]);
});

test("another method and size are priced anew before they are chosen", async () => {
  place.useCase("train_subagent_model", { job_id: "job_1" });
  let changed = false;
  editor.onPick = (items) => {
    const wanted = changed ? "demo" : "Change Method or Size…";
    const found = items.find(({ label }) => label === wanted);
    if (found) return found;
    changed = true;
    return items.find(({ label }) => label === "dpo");
  };
  editor.onInput = ({ validateInput }) => {
    expect(validateInput?.("many")).toContain("whole number");
    return " 200 ";
  };
  await place.run("trainAgentModel", { agent: "docs", dataset: "docs-1" });
  const last = place.api.asked("POST /modelops/train_subagent_model").at(-1)?.body;
  expect(last).toMatchObject({ method: "dpo", max_examples: 200, dry_run: true });
  expect(editor.messages.map(({ buttons }) => buttons)).toEqual([["Train"]]);
});
