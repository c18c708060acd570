/** `@chef` in the editor's chat: a person's words go to a conversation of the server. */

import { answered, ChefProblem, resume, send, stop } from "@codechef/client";
import * as vscode from "vscode";

import type { Server } from "../server.js";
import { stoppable } from "../stoppable.js";
import { showApproval, showApprovals } from "./approvals.js";
import { judge } from "./feedback.js";
import { listJobs } from "./job_list.js";
import { problemResult } from "./problem_block.js";
import { sentenceOf } from "./slash_commands.js";
import { Turn, type TurnEnd } from "./turn.js";

export const CHEF = "codechef.chef";

/** What is kept with an answer in the chat, to go on with. */
export interface Kept extends Partial<TurnEnd> {
  /** The server that the conversation is kept by. */
  server: string;
  /** Whose conversation it is: nobody else may speak in it. */
  by?: string;
}

/** Registers `@chef`. */
export function registerChat(
  context: vscode.ExtensionContext,
  server: Server,
  log: vscode.LogOutputChannel,
): void {
  const chef = new Chef(server, log);
  const participant = vscode.chat.createChatParticipant(CHEF, chef.answer);
  participant.iconPath = vscode.Uri.joinPath(context.extensionUri, "media", "chef.svg");
  participant.followupProvider = { provideFollowups: followups };
  context.subscriptions.push(
    participant,
    participant.onDidReceiveFeedback((feedback) => judge(server, feedback)),
  );
}

/** Answers what is said to `@chef`. */
export class Chef {
  constructor(
    private readonly server: Server,
    private readonly log: Pick<vscode.LogOutputChannel, "warn">,
  ) {}

  readonly answer = async (
    request: vscode.ChatRequest,
    { history }: vscode.ChatContext,
    stream: vscode.ChatResponseStream,
    token: vscode.CancellationToken,
  ): Promise<vscode.ChatResult> => {
    const { url, me } = this.server;
    const by = me === undefined ? {} : { by: me.name };
    const before = keptIn(history, url);
    const turn = new Turn(stream, this.log, threadOf(before, me?.name));
    const kept = (): Kept => ({ server: url, ...by, ...turn.end });
    try {
      await stoppable(token, (signal) => this.take(request, before, stream, turn, signal));
    } catch (error) {
      if (!token.isCancellationRequested) {
        if (!(error instanceof ChefProblem)) throw error;
        return { ...problemResult(stream, error), metadata: kept() };
      }
    }
    if (token.isCancellationRequested) await this.stop(turn.end.threadId);
    return { metadata: kept() };
  };

  private async take(
    request: vscode.ChatRequest,
    before: readonly Kept[],
    stream: vscode.ChatResponseStream,
    turn: Turn,
    signal: AbortSignal,
  ): Promise<void> {
    const { api } = this.server;
    const { command, prompt } = request;
    const [first = ""] = prompt.trim().split(/\s+/);
    if (command === "jobs" && first === "") return listJobs(api, stream, signal);
    if (command === "approve" && first === "") return showApprovals(api, stream, signal);
    if (command === "approve") return this.goOn(first, before, stream, turn, signal);
    const sentence = sentenceOf(request);
    if (sentence === "") {
      stream.markdown("Say what you would like, for example `/train` and an agent's name.");
      return;
    }
    const options = { signal, onState: reconnecting(stream) };
    await turn.showAll(send(api, sentence, turn.end.threadId, options));
  }

  /** Ends at the server what nobody listens to any more. */
  private async stop(threadId: string | undefined): Promise<void> {
    if (threadId === undefined) return;
    try {
      await stop(this.server.api, threadId);
    } catch (error) {
      if (!(error instanceof ChefProblem)) throw error;
      this.log.warn(`The turn of ${threadId} may go on: ${error.message} ${error.remedy}`);
    }
  }

  /**
   * Goes on with what waited for an approval, in this chat or for an agent's call in whatever
   * conversation; shows the approval while it waits, and where it is used or not waited for.
   */
  private async goOn(
    approvalId: string,
    before: readonly Kept[],
    stream: vscode.ChatResponseStream,
    turn: Turn,
    signal: AbortSignal,
  ): Promise<void> {
    const { api } = this.server;
    const params = { path: { approval_id: approvalId } };
    const approval = await answered(api.GET("/approvals/{approval_id}", { params, signal }));
    const here = before.findLast((kept) => kept.approvalId === approvalId)?.threadId;
    const threadId = here ?? approval.tool_call?.thread_id;
    const answerable = approval.status === "pending";
    if (threadId === undefined || answerable || approval.status === "consumed") {
      showApproval(stream, approval, threadId !== undefined);
      if (threadId !== undefined && answerable)
        turn.end = { ...turn.end, approvalId, waiting: "approval" };
      return;
    }
    const me = this.server.me ?? (await this.server.connect());
    turn.visits = approval.requester !== me.name;
    const options = { signal, onState: reconnecting(stream) };
    await turn.showAll(resume(api, threadId, approvalId, options));
  }
}

function reconnecting(stream: vscode.ChatResponseStream): (state: "live" | "reconnecting") => void {
  return (state) => {
    if (state === "reconnecting") stream.progress("The connection broke off; trying again");
  };
}

/** Returns the person's conversation that a chat goes on with; a new chat has none. */
function threadOf(before: readonly Kept[], me: string | undefined): string | undefined {
  const own = before.filter(({ by = me }) => by === me);
  return own.findLast(({ threadId }) => threadId !== undefined)?.threadId;
}

function keptIn(history: vscode.ChatContext["history"], server: string): Kept[] {
  return history.flatMap((turn) => {
    const kept = "result" in turn ? (turn.result.metadata as Kept | undefined) : undefined;
    return kept?.server === server ? [kept] : [];
  });
}

/** Offers what the conversation waits for, as the server has said it. */
export function followups({ metadata }: vscode.ChatResult): vscode.ChatFollowup[] {
  const { waiting, approvalId, replies = [] } = (metadata ?? {}) as Partial<Kept>;
  if (waiting === "approval" && approvalId !== undefined) {
    return [{ prompt: approvalId, command: "approve", label: `Go on with ${approvalId}` }];
  }
  return replies.map((prompt) => ({ prompt }));
}
