/** A chat with `@chef` as the editor holds one: each answer is in the history of the next. */

import type { ChatEvent, ShownApproval } from "@codechef/client";
import type * as vscode from "vscode";

import { streaming } from "../../client/tests/loopback.js";
import { Chef, followups, type Kept } from "../src/chat/participant.js";
import { Server } from "../src/server.js";
import { type ApiDouble, type Heard } from "./double.js";
import { approval } from "./workplace.js";
import { CancellationTokenSource, ChatStream, Secrets } from "./fakes/vscode.js";

/** An event without its number, which the double gives. */
export type Untold = ChatEvent extends infer E
  ? E extends ChatEvent
    ? Omit<E, "seq">
    : never
  : never;

export const END: Untold = { type: "end", waiting: null, replies: [] };

export function said(text: string, messageId = "m1", agent = "infrastructure"): Untold {
  return { type: "message", agent, text, message_id: messageId, request_id: null };
}

/** Has the double answer `METHOD /path` with a turn's events. */
export function tells(api: ApiDouble, request: string, ...events: Untold[]): void {
  api.answer(request, (_heard, response) => {
    const write = streaming(response);
    write("thread", { type: "thread", thread_id: "t1" });
    events.forEach((event, index) => write(event.type, { ...event, seq: index + 1 }, index + 1));
    response.end();
  });
}

/** One answer. */
export interface Answer {
  stream: ChatStream;
  result: vscode.ChatResult;
  kept: Partial<Kept>;
  followups: vscode.ChatFollowup[];
}

export class Talk {
  readonly warnings: string[] = [];
  readonly server = new Server(new Secrets() as never);
  /** What the answer that comes, or came last, says. */
  stream = new ChatStream();
  private readonly history: unknown[] = [];
  private readonly chef = new Chef(this.server, { warn: (text) => void this.warnings.push(text) });

  async say(
    prompt: string,
    more: Partial<vscode.ChatRequest> = {},
    source = new CancellationTokenSource(),
  ): Promise<Answer> {
    const stream = (this.stream = new ChatStream());
    const request = { prompt, command: undefined, references: [], ...more };
    const context = { history: this.history };
    const result = await this.chef.answer(
      request as never,
      context as never,
      stream as never,
      source.token,
    );
    this.history.push({ ...request }, { result });
    const kept = (result.metadata ?? {}) as Partial<Kept>;
    return { stream, result, kept, followups: followups(result) };
  }
}

/** The sentences that the double was told. */
export function sentences(api: ApiDouble): unknown[] {
  return api.asked("POST /chat").map(({ body }: Heard) => (body as { message: string }).message);
}

/** A turn that ends with waiting for an approval. */
export const WAITS: Untold[] = [
  {
    type: "approval_required",
    approval_id: "ap_1",
    use_case: "deploy_model_to_agent",
    summary: "Deploy v1.2.0 to feature_dev",
    price_usd: 15,
    expires_at: 1_800_000_000,
    requester: "ada",
  },
  { type: "end", waiting: "approval", replies: [] },
];

/** That approval, as the API shows it. */
export function shownApproval(status: ShownApproval["status"]): ShownApproval {
  const waits = status === "pending";
  return approval({
    request: { agent: "feature_dev" },
    summary: "Deploy v1.2.0 to feature_dev",
    price_ceiling_usd: 15,
    expires_at: 1_800_000_000,
    status,
    approver: waits ? null : "bob",
    may_answer: waits,
    refusal: waits ? null : "It waits no more.",
  });
}

/** An agent's call that waits in ada's conversation `t9`, as the API shows its approval. */
export function shownCall(changes: Partial<ShownApproval> = {}): ShownApproval {
  const call = { agent: "cicd", server: "tracker", tool: "create_issue", thread_id: "t9" };
  return approval({
    use_case: "agent_tool_call",
    request: { ...call, arguments: { title: "Build [fails](command:x)" }, fingerprint: "f" },
    tool_call: { ...call, arguments: { title: "Build [fails](command:x)" } },
    summary: "cicd calls create_issue of the MCP server 'tracker'",
    price_ceiling_usd: 0,
    requester: "ada",
    ...changes,
  });
}
