import type { ShownApproval } from "@codechef/client";
import { afterEach, beforeEach, expect, test } from "vitest";

import { streaming } from "../../../../client/tests/loopback.js";
import { ApiDouble, problem } from "../../double.js";
import { CancellationTokenSource, settings } from "../../fakes/vscode.js";
import {
  type Answer,
  END,
  said,
  sentences,
  shownApproval,
  shownCall,
  Talk,
  tells,
  WAITS,
} from "../../talk.js";

let api: ApiDouble;
beforeEach(async () => {
  api = await ApiDouble.start();
  settings.set("codechef.apiUrl", api.url);
});
afterEach(() => api.stop());

test("a chat goes on in one conversation of the server, a new chat begins another", async () => {
  tells(api, "POST /chat", said("Which agent?"), { type: "end", waiting: "answer", replies: [] });
  const talk = new Talk();
  await talk.say("train");
  await talk.say("feature_dev");
  await new Talk().say("hello");
  expect(api.asked("POST /chat").map(({ body }) => body)).toEqual([
    { message: "train" },
    { message: "feature_dev", thread_id: "t1" },
    { message: "hello" },
  ]);
});

test("a conversation is not looked for on another server", async () => {
  tells(api, "POST /chat", said("Hello."), END);
  const talk = new Talk();
  await talk.say("hi");
  settings.set("codechef.apiUrl", api.url.replace("127.0.0.1", "localhost"));
  await talk.say("hi again");
  expect(api.asked("POST /chat").at(-1)?.body).toEqual({ message: "hi again" });
});

test("who signs in after another does not speak in the other's conversation", async () => {
  tells(api, "POST /chat", said("Hello."), END);
  const talk = new Talk();
  await talk.server.connect();
  await talk.say("hi");
  api.me = { ...api.me, name: "bob" };
  await talk.server.connect();
  await talk.say("hi, I am bob");
  expect(sentences(api)).toEqual(["hi", "hi, I am bob"]);
  expect(api.asked("POST /chat").at(-1)?.body).not.toHaveProperty("thread_id");
});

test.each([
  ["train", "feature_dev demo", "train feature_dev demo"],
  ["evaluate", "cicd", "evaluate cicd"],
  ["deploy", "v1.2.0 to docs", "deploy v1.2.0 to docs"],
  ["rollback", "cicd to v1.0.0", "roll back cicd to v1.0.0"],
  ["models", "feature_dev", "list the models of feature_dev"],
  ["jobs", "job_1", "show the job job_1"],
  ["train", "", "train"],
])("/%s %s says: %s", async (command, prompt, sentence) => {
  tells(api, "POST /chat", said("…"), END);
  await new Talk().say(prompt, { command });
  expect(sentences(api)).toEqual([sentence]);
});

test("an attached file is named by its path", async () => {
  tells(api, "POST /chat", said("…"), END);
  const value = { fsPath: "/data/rows.jsonl" };
  const references = [{ id: "file", range: [8, 24] as [number, number], value }];
  await new Talk().say("build x #file:rows.jsonl now", { references });
  expect(sentences(api)).toEqual(["build x /data/rows.jsonl now"]);
});

test("what the server takes for an answer is offered", async () => {
  const end = { type: "end", waiting: "answer", replies: ["yes", "no"] } as const;
  tells(api, "POST /chat", said("Shall I?"), { ...end, replies: [...end.replies] });
  const { followups } = await new Talk().say("train feature_dev");
  expect(followups).toEqual([{ prompt: "yes" }, { prompt: "no" }]);
});

test("what waits for an approval is shown with its price and buttons that answer it", async () => {
  tells(api, "POST /chat", ...WAITS);
  const { stream, kept, followups } = await new Talk().say("deploy v1.2.0 to feature_dev");
  expect(stream.text).toContain("Deploy v1\\.2\\.0 to feature\\_dev");
  expect(stream.text).toContain("\\$15\\.00");
  expect(stream.buttons.map(({ title }) => title)).toEqual(["Approve or Reject…", "Show"]);
  expect(stream.buttons[0]).toMatchObject({
    command: "codechef.answerApproval",
    arguments: [{ approval_id: "ap_1" }],
  });
  expect(kept).toMatchObject({ threadId: "t1", approvalId: "ap_1", waiting: "approval" });
  expect(followups).toMatchObject([{ command: "approve", prompt: "ap_1" }]);
});

test("after its approval was answered a conversation goes on where it waited", async () => {
  tells(api, "POST /chat", ...WAITS);
  tells(api, "POST /chat/t1/resume", said("v1.2.0 serves 20 % of the traffic."), END);
  api.on("GET /approvals/ap_1", shownApproval("approved"));
  const talk = new Talk();
  await talk.say("deploy");
  const { stream, kept } = await talk.say("ap_1", { command: "approve" });
  expect(kept.threadId).toBe("t1");
  expect(api.asked("POST /chat/t1/resume")[0]?.body).toEqual({ approval_id: "ap_1" });
  expect(stream.text).toContain("20 % of the traffic");
});

test("an approval that still waits is shown again, and nothing goes on", async () => {
  tells(api, "POST /chat", ...WAITS);
  api.on("GET /approvals/ap_1", shownApproval("pending"));
  const talk = new Talk();
  await talk.say("deploy");
  const { stream, kept } = await talk.say("ap_1", { command: "approve" });
  expect(stream.buttons).toHaveLength(2);
  expect(kept).toMatchObject({ threadId: "t1", approvalId: "ap_1" });
  expect(api.asked("POST /chat/t1/resume")).toHaveLength(0);
});

test("an approval that no conversation here waits for is only shown", async () => {
  api.on("GET /approvals/ap_1", shownApproval("approved"));
  const { stream } = await new Talk().say("ap_1", { command: "approve" });
  expect(stream.text).toContain("ap\\_1 is approved by bob");
  expect(stream.buttons.map(({ title }) => title)).toEqual(["Carry Out"]);
});

test("an approved call of an agent goes on in its conversation, whichever chat it is", async () => {
  tells(api, "POST /chat", said("Hello."), END);
  tells(api, "POST /chat/t9/resume", said("Heard: issue 1.", "m1", "cicd"), END);
  api.on("GET /approvals/ap_1", shownCall({ status: "approved" }));
  const talk = new Talk();
  await talk.say("hello");
  const { stream, kept } = await talk.say("ap_1", { command: "approve" });
  expect(stream.text).toContain("Heard: issue 1.");
  expect(api.asked("POST /chat/t9/resume")[0]?.body).toEqual({ approval_id: "ap_1" });
  expect(kept.threadId).toBe("t1"); // the double's stream names it so: ada's own goes on
});

test("who wakes another's conversation up stays in their own", async () => {
  tells(api, "POST /chat/t9/resume", said("Heard: issue 1.", "m1", "cicd"), END);
  api.on("GET /approvals/ap_1", shownCall({ status: "rejected", requester: "bob" }));
  const { stream, kept } = await new Talk().say("ap_1", { command: "approve" });
  expect(stream.text).toContain("Heard: issue 1.");
  expect(kept.threadId).toBeUndefined();
});

test("a call of an agent is answered where it is shown, and is not carried out from elsewhere", async () => {
  const { stream } = await waitingCall({ status: "pending" });
  expect(stream.buttons.map(({ command }) => command)).toEqual([
    "codechef.answerApproval",
    "codechef.openView",
  ]);
  expect((await waitingCall({ status: "consumed" })).stream.buttons).toEqual([]);
  expect(api.asked("POST /chat/t9/resume")).toEqual([]);
});

function waitingCall(changes: Partial<ShownApproval>): Promise<Answer> {
  api.on("GET /approvals/ap_1", shownCall(changes));
  return new Talk().say("ap_1", { command: "approve" });
}

test("/approve lists what waits, each with its buttons", async () => {
  const waiting = shownApproval("pending");
  api.on("GET /approvals", { approvals: [waiting, waiting] });
  const { stream } = await new Talk().say("", { command: "approve" });
  expect(stream.buttons).toHaveLength(4);
  expect(stream.buttons[0]?.command).toBe("codechef.approvals");
  api.on("GET /approvals", { approvals: [] });
  expect((await new Talk().say("", { command: "approve" })).stream.text).toContain("Nothing waits");
});

test("/jobs lists the jobs, their names as text", async () => {
  const job = { job_id: "job_1", kind: "training", agent: "[a](command:x)", status: "running" };
  api.on("GET /jobs", { jobs: [{ ...job, requester: "ada" }] });
  const { stream } = await new Talk().say("", { command: "jobs" });
  expect(stream.text).toContain("job\\_1 | training | \\[a\\]\\(command\\:x\\) | running | ada");
});

test("a problem is told with its remedy, and the command that mends it", async () => {
  api.token = "secret";
  const { stream, result } = await new Talk().say("hello");
  expect(result.errorDetails?.message).toContain("An access token is needed");
  expect(stream.buttons.map(({ command }) => command)).toEqual(["codechef.signIn"]);
});

test("a server that is not there is said to be, with the button that starts one", async () => {
  await api.stop();
  const { stream, result } = await new Talk().say("hello");
  expect(result.errorDetails?.message).toContain("No server answers");
  expect(stream.buttons.map(({ command }) => command)).toContain("codechef.startLocalServer");
  api = await ApiDouble.start();
});

test("a problem leaves the conversation where it was", async () => {
  tells(api, "POST /chat", said("Hello."), END);
  const talk = new Talk();
  await talk.say("hi");
  api.on("POST /chat", problem(503, "The database is away.", "Try again."), 503);
  expect((await talk.say("hi")).kept.threadId).toBe("t1");
});

test("who cancels ends the turn at the server, hears no more and is not shown a problem", async () => {
  const source = new CancellationTokenSource();
  let closed = false;
  api.answer("POST /chat", (_heard, response) => {
    const write = streaming(response);
    write("thread", { type: "thread", thread_id: "t1" });
    write(
      "agent",
      { type: "agent", agent: "infrastructure", task: "train", tool: null, seq: 1 },
      1,
    );
    response.on("close", () => (closed = true));
  });
  api.on("POST /chat/t1/stop", { stopped: true });
  const talk = new Talk();
  const answer = talk.say("train", {}, source);
  await expect.poll(() => talk.stream.all("progress")).toHaveLength(1);
  source.cancel();
  const { result, kept } = await answer;
  expect(result.errorDetails).toBeUndefined();
  expect(kept.threadId).toBe("t1");
  await expect.poll(() => closed).toBe(true);
  expect(api.asked("POST /chat/t1/stop")).toHaveLength(1);
});
