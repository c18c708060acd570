import type { ChatEvent } from "@codechef/client";
import { expect, test } from "vitest";

import { progressLine, Turn } from "../../../src/chat/turn.js";
import { ChatStream } from "../../fakes/vscode.js";
import { said, type Untold } from "../../talk.js";

interface Shown {
  stream: ChatStream;
  warnings: string[];
  turn: Turn;
}

async function shown(...events: Untold[]): Promise<Shown> {
  const stream = new ChatStream();
  const warnings: string[] = [];
  const turn = new Turn(stream as never, { warn: (text) => void warnings.push(text) });
  for (const event of events) await turn.show({ ...event, seq: 1 } as ChatEvent);
  return { stream, warnings, turn };
}

const PROGRESS = {
  type: "progress",
  job_id: "job_1",
  kind: "training",
  agent: "feature_dev",
  status: "running",
  stage: "training",
  progress_pct: 41.7,
  current_step: 5,
  total_steps: 12,
  current_loss: 1.234567,
  eta_minutes: 2.2,
} as const;

function token(text: string): Untold {
  return { type: "token", agent: "feature_dev", text, message_id: "m1" };
}

test("what came in pieces is not repeated when it comes whole", async () => {
  const { stream } = await shown(token("Hel"), token("lo"), said("Hello", "m1", "feature_dev"));
  expect(stream.text).toBe("Hello");
});

test("an event that this extension does not know is left out with a line in the log", async () => {
  const { stream, warnings } = await shown({ type: "confetti" } as never, said("Hello"));
  expect(stream.text).toBe("Hello");
  expect(warnings).toEqual([expect.stringContaining('"confetti"')]);
});

test("how a job stands is one line, told for each stage and each part of its way", async () => {
  const { stream } = await shown(
    PROGRESS,
    { ...PROGRESS, progress_pct: 43 },
    { ...PROGRESS, progress_pct: 45 },
    { ...PROGRESS, progress_pct: 45, stage: "saving" },
  );
  const lines = stream.all("progress").map((line) => line.replaceAll("\\", ""));
  expect(lines.map((line) => line.startsWith("job_1 (training): "))).toEqual([true, false, false]);
  expect(progressLine({ ...PROGRESS, seq: 1 }).replaceAll("\\", "")).toBe(
    "job_1 (training): training, 41 %, step 5 of 12, loss 1.235, 2 min left",
  );
});

test("what is not known of a job is left out", () => {
  const bare = { progress_pct: null, current_step: null, current_loss: null, eta_minutes: null };
  const line = progressLine({ ...PROGRESS, ...bare, status: "pending", seq: 1 });
  expect(line.replaceAll("\\", "")).toBe("job_1 (training): pending");
});

test("an agent's work is a step, told before its answer", async () => {
  const { stream } = await shown(
    { type: "agent", agent: "feature_dev", task: "add a test", tool: null },
    { type: "agent", agent: "feature_dev", task: "", tool: "read_file" },
    said("Done.", "m1", "feature_dev"),
  );
  const steps = stream.all("progress").map((text) => text.replaceAll("\\", ""));
  expect(steps).toEqual(["feature_dev: add a test", "feature_dev: uses read_file"]);
  expect(stream.parts.at(-1)).toEqual({ kind: "markdown", text: "Done." });
});

test("a second agent's answer says whose it is", async () => {
  const { stream } = await shown(said("A.", "m1", "cicd"), said("B.", "m2", "code_review"));
  expect(stream.text).toBe("A.\n\n**code\\_review**\n\nB.");
});

test("names that are Markdown, HTML or right-to-left are shown as text", async () => {
  const hostile = "[x](command:evil) ![y](https://e.vil) <b>**z**</b> `q` \u202etxt\n# h";
  const { stream } = await shown(
    { type: "agent", agent: hostile, task: hostile, tool: null },
    { ...PROGRESS, job_id: hostile },
    { type: "error", error: "InputError", message: hostile, remedy: hostile },
    {
      type: "approval_required",
      approval_id: "ap_1",
      use_case: "build_dataset",
      summary: hostile,
      price_usd: 1,
      expires_at: 0,
      requester: hostile,
    },
  );
  const all = [stream.text, ...stream.all("progress")].join("\n");
  expect(all).not.toMatch(/(?<!\\)[[\]<`]/);
  expect(all).not.toContain("\u202e");
  expect(all).not.toMatch(/^# h/m);
});

test("a very long name is cut in a step", async () => {
  const task = "x".repeat(100_000);
  const { stream } = await shown({ type: "agent", agent: "a", task, tool: null });
  expect(stream.all("progress")[0]?.length).toBeLessThan(500);
});

test("pages that a result names are references, and only those of the web", async () => {
  const { stream } = await shown({
    type: "result",
    use_case: "monitor_training_job",
    result: {
      tensorboard_url: "http://127.0.0.1:6006/",
      hub_repo: "org/name",
      status_url: "javascript:alert(1)",
      experiment_url: "command:evil",
      list: [{ url: "https://members.example" }],
    },
  });
  expect(stream.all("reference")).toEqual(["http://127.0.0.1:6006/"]);
});

test("the last answer of a model is what a thumb judges", async () => {
  const message = { ...said("Done.", "m1", "feature_dev"), request_id: "req_1" } as Untold;
  const { turn } = await shown(message, said("Anything else?", "m2"));
  expect(turn.end.requestId).toBe("req_1");
});
