import {
  type Api,
  answered,
  ChefProblem,
  type JobSummary,
  type Overview,
  type RolloutState,
  type ShownApproval,
} from "@codechef/client";
import * as vscode from "vscode";

import type { Server } from "./server.js";

/** The system as it was at the last look. */
export interface Seen {
  overview: Overview;
  jobs: JobSummary[];
  rollouts: RolloutState[];
  /** What waits for an answer, and what was approved and waits to be carried out. */
  approvals: ShownApproval[];
}

/** Changes often come together: one look serves all of them. */
const GATHER_MS = 250;
const NEWEST = 30;

/** What the trees and the status bar show; looked at anew when the server says that it changed. */
export class Picture implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly subscriptions: vscode.Disposable[];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private last = Promise.resolve();
  private next: Promise<void> | undefined;
  private stopping = new AbortController();
  private found: Seen | undefined;
  readonly onDidChange = this.changed.event;

  constructor(
    private readonly server: Server,
    private readonly gatherMs = GATHER_MS,
  ) {
    this.subscriptions = [
      server.onDidChange(() => this.lookSoon()),
      server.onDidChangeState(({ kind }) => {
        if (kind === "failed" || kind === "unasked") this.forget();
        this.changed.fire();
      }),
    ];
  }

  /** What was seen last; undefined before the first look, and where there is no server. */
  get seen(): Seen | undefined {
    return this.found;
  }

  /** Looks again, after a look under way: what that sees may be older. Throws a ChefProblem. */
  look(): Promise<void> {
    this.next ??= this.last
      .catch(() => undefined) // whoever asked for that look is told
      .then(() => {
        this.next = undefined;
        this.last = this.read(this.stopping.signal);
        return this.last;
      });
    return this.next;
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.stopping.abort();
    for (const one of this.subscriptions) one.dispose();
    this.changed.dispose();
  }

  /** Drops what was seen, and what is being looked at. */
  private forget(): void {
    this.found = undefined;
    this.stopping.abort();
    this.stopping = new AbortController();
  }

  private lookSoon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      // A server that goes away meanwhile shows as a state; it says when it is back.
      this.look().catch((error: unknown) => {
        if (!(error instanceof ChefProblem)) throw error;
      });
    }, this.gatherMs);
  }

  private async read(signal: AbortSignal): Promise<void> {
    try {
      const seen = await seenAt(this.server.api, signal);
      if (signal.aborted) return;
      this.found = seen;
      this.changed.fire();
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

async function seenAt(api: Api, signal: AbortSignal): Promise<Seen> {
  const query = { limit: NEWEST };
  const [overview, { jobs }, { rollouts }, { approvals }] = await Promise.all([
    answered(api.GET("/overview", { signal })),
    answered(api.GET("/jobs", { params: { query }, signal })),
    answered(api.GET("/rollouts", { params: { query }, signal })),
    answered(api.GET("/approvals", { params: { query: { all: true } }, signal })),
  ]);
  const open = approvals.filter(({ status }) => status === "pending" || status === "approved");
  return { overview, jobs, rollouts, approvals: open };
}
