/** An agent's call: read whole, answered, and carried out by its conversation alone. */

import type { ShownApproval } from "@codechef/client";
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/preact";
import { afterEach, expect, test } from "vitest";

import { App } from "../../../src/app.js";
import { ADA, fakeHost, FakeServer } from "../fake_host.js";
import { APPROVAL } from "./rollout_records.js";

afterEach(cleanup);

const BODY = "It fails.\n<b>Since</b> Monday.";
const CALL = {
  agent: "cicd",
  server: "tracker",
  tool: "create_issue",
  arguments: { title: "The build fails", body: BODY, labels: ["ci"] },
  thread_id: "t9",
};

function looked(changes: Partial<ShownApproval>, interrupts: object = {}): FakeServer {
  const chef = new FakeServer();
  const request = { ...CALL, call_id: "m1/c1", fingerprint: "f".repeat(64) };
  chef.answers.set("GET /approvals/ap_1", {
    ...APPROVAL,
    use_case: "agent_tool_call",
    tool_call: CALL,
    request,
    details: {},
    ...changes,
  });
  chef.answers.set("GET /threads/t9", { thread_id: "t9", interrupts });
  return chef;
}

function show(chef: FakeServer): ReturnType<typeof fakeHost> {
  const host = fakeHost(chef, { view: "approval", params: { approval_id: "ap_1" } });
  render(<App host={host} />);
  return host;
}

/** A conversation that waits for the approval beside another one. */
const WAITS = {
  task: [{ id: "i", value: { approval_id: "ap_0", also: [{ approval_id: "ap_1" }] } }],
};

test("a call is shown with everything that it is made with, as text, and nothing carries it out", async () => {
  show(looked({}));
  expect(await screen.findByText("create_issue")).toBeTruthy();
  const body = screen.getByText(/Since/);
  expect(body.textContent).toBe(BODY);
  expect(body.tagName).toBe("PRE");
  expect(screen.queryByText(/fffff/)).toBeNull();
  expect(screen.getByRole("button", { name: "Approve" })).toBeTruthy();
  expect(screen.queryByRole("button", { name: /carry it out|go on/i })).toBeNull();
});

test("what may be changed of a call is each of its arguments, and what is not stays as it is", async () => {
  const chef = looked({});
  chef.answers.set("POST /approvals/ap_1/edit", { ...APPROVAL, id: "ap_2" });
  chef.answers.set("GET /approvals/ap_2", { ...APPROVAL, id: "ap_2" });
  show(chef);
  fireEvent.click(await screen.findByRole("button", { name: "Change what is asked for" }));
  const title = screen.getByDisplayValue("The build fails");
  expect(screen.queryByDisplayValue("create_issue")).toBeNull();
  fireEvent.input(title, { target: { value: "Main fails" } });
  fireEvent.click(screen.getByRole("button", { name: "Send the change" }));
  await waitFor(() => {
    const edit = chef.asked.find(({ path }) => path.endsWith("/edit"));
    expect(edit?.body).toEqual({ changes: { "arguments.title": "Main fails" }, reason: "" });
  });
});

test("text of several lines is changed as such: an input would make one line of it", async () => {
  const chef = looked({});
  chef.answers.set("POST /approvals/ap_1/edit", { ...APPROVAL, id: "ap_2" });
  chef.answers.set("GET /approvals/ap_2", { ...APPROVAL, id: "ap_2" });
  show(chef);
  fireEvent.click(await screen.findByRole("button", { name: "Change what is asked for" }));
  const body = screen.getByLabelText<HTMLTextAreaElement>("arguments.body");
  expect(body.value).toBe(BODY);
  fireEvent.input(body, { target: { value: "It fails.\r\nSince Friday." } });
  fireEvent.click(screen.getByRole("button", { name: "Send the change" }));
  await waitFor(() => {
    const edit = chef.asked.find(({ path }) => path.endsWith("/edit"));
    const changes = { "arguments.body": "It fails.\nSince Friday." };
    expect(edit?.body).toEqual({ changes, reason: "" });
  });
});

test.each(["approved", "rejected"] as const)(
  "after it was %s its conversation goes on, and what is said in it is shown",
  async (status) => {
    const chef = looked({ status, may_answer: false, approver: "bob" }, WAITS);
    const said = { type: "message", agent: "cicd", text: "<i>Done</i>.", message_id: "m", seq: 1 };
    chef.answers.set("POST /chat/t9/resume", () => {
      chef.answers.set("GET /threads/t9", { thread_id: "t9", interrupts: {} });
      return new Response(
        [{ type: "thread", thread_id: "t9" }, said, { type: "end", waiting: null, replies: [] }]
          .map((event) => `event: ${event.type}\nid: 1\ndata: ${JSON.stringify(event)}\n\n`)
          .join(""),
        { headers: { "Content-Type": "text/event-stream" } },
      );
    });
    show(chef);
    fireEvent.click(await screen.findByRole("button", { name: "Go on" }));
    expect(await screen.findByText("<i>Done</i>.")).toBeTruthy();
    await waitFor(() => expect(screen.queryByRole("button", { name: "Go on" })).toBeNull());
    const resumed = chef.asked.filter(({ method }) => method === "POST");
    expect(resumed).toMatchObject([{ path: "/chat/t9/resume", body: { approval_id: "ap_1" } }]);
  },
);

test("who leaves the page listens to its conversation no more", async () => {
  const chef = looked({ status: "approved" }, WAITS);
  let signal: AbortSignal | undefined;
  chef.answers.set("POST /chat/t9/resume", (request: Request) => {
    signal = request.signal;
    const first = 'event: thread\nid: 1\ndata: {"type":"thread","thread_id":"t9"}\n\n';
    const endless = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode(first)),
    });
    return new Response(endless, { headers: { "Content-Type": "text/event-stream" } });
  });
  const host = show(chef);
  fireEvent.click(await screen.findByRole("button", { name: "Go on" }));
  await waitFor(() => expect(signal?.aborted).toBe(false));
  host.navigate({ view: "simulator", params: {} });
  await waitFor(() => expect(signal?.aborted).toBe(true));
});

test("a conversation that does not wait for it, and who may only read, are offered nothing", async () => {
  show(looked({ status: "approved" }));
  await screen.findByText("create_issue");
  expect(screen.queryByRole("button", { name: "Go on" })).toBeNull();
  cleanup();
  const chef = looked({ status: "approved" }, WAITS);
  chef.answers.set("GET /me", { ...ADA, role: "viewer", may: ["read"] });
  show(chef);
  expect(await screen.findByRole("heading", { name: /waits to go on/ })).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Go on" })).toBeNull();
});
