import { afterEach, beforeEach, expect, test } from "vitest";
import { ChatResultFeedbackKind } from "vscode";

import { registerAnswering } from "../../../src/chat/answering.js";
import { judge } from "../../../src/chat/feedback.js";
import { problem } from "../../double.js";
import { eventually } from "../../eventually.js";
import { editor } from "../../fakes/vscode.js";
import { shownApproval, shownCall } from "../../talk.js";
import { Workplace } from "../../workplace.js";

let place: Workplace;

beforeEach(async () => {
  place = await Workplace.open();
  registerAnswering(place as never, place.desk.approvals);
  place.api.on("GET /approvals/ap_1", shownApproval("pending"));
  place.api.on("POST /approvals/ap_1/answer", shownApproval("approved"));
});
afterEach(() => place.close());

const answer = (): Promise<unknown> => place.run("answerApproval", { approval_id: "ap_1" });
const answers = (): unknown[] =>
  place.api.asked("POST /approvals/ap_1/answer").map(({ body }) => body);
const goneOn = (): unknown[] =>
  editor.executed.filter(([id]) => id === "workbench.action.chat.open");

test("an approval is given in a dialog, then the chat goes on with it", async () => {
  editor.onMessage = ({ modal, buttons }) => (modal ? buttons[0] : undefined);
  await answer();
  expect(answers()).toEqual([{ approve: true, reason: "" }]);
  expect(goneOn()).toMatchObject([[expect.anything(), { query: "@chef /approve ap_1" }]]);
});

test("what an approval is for adds no line of its own to the dialog's facts", async () => {
  const request = { reason: "none\nCosts at most $0.00", "a\nAsked by grace": "\u202eb" };
  place.api.on("GET /approvals/ap_1", { ...shownApproval("pending"), request });
  await answer();
  const lines = editor.messages[0]?.detail.split("\n");
  expect(lines).toContain("reason: none Costs at most $0.00");
  expect(lines).toContain("a Asked by grace: \ufffdb");
});

test("a dialog that is closed answers nothing", async () => {
  await answer();
  expect(answers()).toEqual([]);
  expect(goneOn()).toEqual([]);
});

test("what somebody else has answered is not asked again, and the chat goes on", async () => {
  place.api.on("GET /approvals/ap_1", shownApproval("approved"));
  await answer();
  expect(editor.messages).toEqual([]);
  expect(goneOn()).toHaveLength(1);
});

test("an approval by somebody else is told, and the chat goes on at the person's word", async () => {
  place.api.on("GET /approvals/ap_1", { ...shownApproval("pending"), may_answer: false });
  await answer();
  expect(goneOn()).toEqual([]);
  editor.onMessage = ({ buttons }) => buttons.find((button) => button === "Go On in Chat");
  place.api.on("GET /approvals/ap_1", shownApproval("approved"));
  place.desk.server.start();
  await place.api.listened("/activity/events");
  place.api.tell("/activity/events", { action: "approved", subject: "ap_1" });
  await eventually(() => expect(goneOn()).toHaveLength(1));
  expect(place.api.asked("POST /approvals/ap_1/resume")).toEqual([]);
});

test("an agent's call is answered with all that it is made with, and goes on in the chat", async () => {
  place.api.on("GET /approvals/ap_1", shownCall());
  place.api.on("POST /approvals/ap_1/answer", shownCall({ status: "rejected" }));
  editor.onMessage = ({ modal }) => (modal ? "Reject…" : undefined);
  editor.onInput = () => "Not that one.";
  await place.run("approvals", { approval_id: "ap_1" });
  const detail = editor.messages[0]?.detail ?? "";
  expect(detail).toContain("tool: create_issue");
  expect(detail).toContain("title: Build [fails](command:x)");
  expect(detail).not.toContain("fingerprint");
  expect(answers()).toEqual([{ approve: false, reason: "Not that one." }]);
  expect(goneOn()).toMatchObject([[expect.anything(), { query: "@chef /approve ap_1" }]]);
  expect(place.api.asked("POST /approvals/ap_1/resume")).toEqual([]);
});

test("an approved call of an agent goes on from its line in the tree", async () => {
  place.api.on("GET /approvals", { approvals: [shownCall({ status: "approved" })] });
  await place.show();
  const [line] = await place.nodes("approvals");
  expect(line?.item.contextValue).toBe("approval.call");
  await place.run("goOn", line);
  expect(goneOn()).toHaveLength(1);
});

test("an answer that the server does not take is told, and nothing goes on", async () => {
  const refused = problem(403, "A viewer may not approve.", "Ask an approver.");
  place.api.on("POST /approvals/ap_1/answer", refused, 403);
  editor.onMessage = ({ buttons }) => buttons.find((button) => button === "Approve");
  await answer();
  expect(editor.said).toContain("A viewer may not approve. Ask an approver.");
  expect(goneOn()).toEqual([]);
});

test("a thumb judges the model's call that ended the answer", async () => {
  place.api.on("POST /feedback", { request_id: "req_1", score: 0, source: "ada" }, 201);
  const { Unhelpful: kind } = ChatResultFeedbackKind;
  await judge(place.desk.server, { kind, result: { metadata: { requestId: "req_1" } } });
  expect(place.api.asked("POST /feedback")[0]?.body).toEqual({
    request_id: "req_1",
    thumbs: "down",
  });
});

test("a thumb on what no model said is sent nowhere", async () => {
  const { Helpful: kind } = ChatResultFeedbackKind;
  await judge(place.desk.server, { kind, result: { metadata: {} } });
  expect(place.api.asked("POST /feedback")).toEqual([]);
  expect(editor.status).toHaveLength(1);
});
