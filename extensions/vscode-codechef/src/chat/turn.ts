/** A turn of a conversation, shown in the editor's chat as its events come. */

import type { ChatEvent } from "@codechef/client";
import type * as vscode from "vscode";

import { approvalBlock } from "./approvals.js";
import { Floor, type Piece } from "./floor.js";
import { brief, escaped } from "../markdown.js";
import { figure, minutes } from "../words.js";
import { modelsYaml, placesIn } from "./places.js";

type EventOf<T extends ChatEvent["type"]> = Extract<ChatEvent, { type: T }>;

/** Of a job, after which its progress is told anew. */
const PART_PCT = 5;

/** What a turn has left behind. */
export interface TurnEnd {
  threadId?: string;
  /** Of the last answer of a model: what is judged with a thumb. */
  requestId?: string;
  /** What the thread waits for. */
  waiting: EventOf<"end">["waiting"];
  /** Words that would answer it. */
  replies: EventOf<"end">["replies"];
  /** The approval that it waits for. */
  approvalId?: string;
}

/** Shows the events of one turn. */
export class Turn {
  end: TurnEnd;
  /** Whether the conversation is another's, in which one may not speak: the chat keeps its own. */
  visits = false;
  private readonly floor = new Floor();
  private speaker: string | undefined;
  private point = "";
  /** The job that was told of last. */
  private told = "";

  constructor(
    private readonly stream: vscode.ChatResponseStream,
    private readonly log: Pick<vscode.LogOutputChannel, "warn">,
    threadId?: string,
  ) {
    this.end = { waiting: null, replies: [], ...(threadId === undefined ? {} : { threadId }) };
  }

  /** Shows a turn as it comes, to its end. */
  async showAll(events: AsyncIterable<ChatEvent>): Promise<void> {
    for await (const event of events) await this.show(event);
  }

  async show(event: ChatEvent): Promise<void> {
    switch (event.type) {
      case "thread":
        if (!this.visits) this.end.threadId = event.thread_id;
        return;
      case "said":
        return; // the chat shows what its user said
      case "token":
        this.write(this.floor.token(event.agent, event.message_id, event.text));
        return;
      case "message":
        if (event.request_id !== null) this.end.requestId = event.request_id;
        this.write(this.floor.message(event.agent, event.message_id, event.text));
        return;
      case "agent":
        this.write(this.floor.ended(event.agent));
        this.step(event);
        return;
      case "progress":
        this.job(event);
        return;
      case "result":
        await this.result(event);
        return;
      case "approval_required":
        this.write(this.floor.ended());
        this.end.approvalId = event.approval_id;
        approvalBlock(this.stream, event, true);
        return;
      case "error":
        this.write(this.floor.ended());
        this.problem(event);
        return;
      case "end":
        this.write(this.floor.ended());
        this.end.waiting = event.waiting;
        this.end.replies = event.replies;
        return;
      default:
        this.unknown(event);
    }
  }

  private write(pieces: Piece[]): void {
    for (const { agent, text, begins } of pieces) {
      const others = this.speaker !== undefined && this.speaker !== agent;
      if (begins && this.speaker !== undefined) this.stream.markdown("\n\n");
      if (begins && others) this.stream.markdown(`**${escaped(agent)}**\n\n`);
      this.stream.markdown(text);
      this.speaker = agent;
    }
  }

  private step({ agent, task, tool }: EventOf<"agent">): void {
    const what = tool === null ? brief(task) : `uses ${brief(tool)}`;
    this.stream.progress(what === "" ? escaped(agent) : `${escaped(agent)}: ${what}`);
  }

  private problem({ message, remedy }: EventOf<"error">): void {
    const lines = [escaped(message), remedy === "" ? "" : `**${escaped(remedy)}**`];
    this.stream.markdown(`\n\n> ${lines.filter(Boolean).join("\n>\n> ")}\n\n`);
  }

  private job(event: EventOf<"progress">): void {
    // Every line stays while the turn goes on: one for each stage, and for every part of the way.
    const part = Math.floor((event.progress_pct ?? 0) / PART_PCT);
    const point = [event.job_id, event.status, event.stage, part].join();
    if (point === this.point) return;
    this.point = point;
    this.stream.progress(progressLine(event, event.job_id !== this.told));
    this.told = event.job_id;
  }

  private async result({ result }: EventOf<"result">): Promise<void> {
    for (const { uri } of placesIn(result)) this.stream.reference(uri);
    if (!("rollout_id" in result)) return;
    const file = await modelsYaml();
    if (file !== undefined) this.stream.reference(file);
  }

  /** A newer server may tell more than this extension knows. */
  private unknown(event: never): void {
    const { type } = event as { type: unknown };
    this.log.warn(`An event of the unknown type ${JSON.stringify(type)} is not shown.`);
  }
}

/**
 * Returns how a job stands, as Markdown of one line; what is not known is left out.
 *
 * @param named Whether the job is named in it.
 */
export function progressLine(event: EventOf<"progress">, named = true): string {
  const { current_step: step, total_steps: steps, eta_minutes: eta } = event;
  const facts = [
    event.status === "running" ? event.stage || event.status : event.status,
    event.progress_pct === null ? "" : `${Math.floor(event.progress_pct)} %`,
    step === null ? "" : `step ${step}${steps === null ? "" : ` of ${steps}`}`,
    event.current_loss === null ? "" : `loss ${figure(event.current_loss)}`,
    eta === null || event.status !== "running" ? "" : `${minutes(eta)} left`,
  ];
  const name = named ? `${event.job_id} (${event.kind}): ` : "";
  return brief(`${name}${facts.filter(Boolean).join(", ")}`);
}
