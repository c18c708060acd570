import {
  type Activity,
  answered,
  type Api,
  ChefProblem,
  createClient,
  follow,
  type JobEventSent,
  type Me,
} from "@codechef/client";
import * as vscode from "vscode";

import { Pause } from "./pause.js";
import { foreign, isAddress, noAddress } from "./problems.js";

/** How the extension stands to its server. */
export type ServerState =
  | { kind: "unasked" }
  | { kind: "connected"; me: Me }
  /** It was there, and is asked again and again until it is back. */
  | { kind: "reconnecting"; me: Me; problem?: ChefProblem }
  | { kind: "failed"; problem: ChefProblem };

/** What is new there: says to whoever shows it when to look again. */
export type Change =
  | { kind: "activity"; activity: Activity }
  | { kind: "job"; event: JobEventSent }
  /** Anything may be new: we have just (again) been let in. */
  | { kind: "everything" };

/** What an address looks like. */
export const EXAMPLE = "http://127.0.0.1:8131";

const ANSWER_MS = 10_000;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;

/** The server that the settings name, with the token that the editor keeps for its address. */
export class Server implements vscode.Disposable {
  private readonly states = new vscode.EventEmitter<ServerState>();
  private readonly changes = new vscode.EventEmitter<Change>();
  private readonly pause = new Pause();
  private readonly settings: vscode.Disposable;
  private current: ServerState = { kind: "unasked" };
  private following: AbortController | undefined;

  /** Fires when the server, the token, or how they stand to each other has changed. */
  readonly onDidChangeState = this.states.event;
  /** Fires when something is new on the server. */
  readonly onDidChange = this.changes.event;

  constructor(private readonly secrets: vscode.SecretStorage) {
    this.settings = vscode.workspace.onDidChangeConfiguration((change) => {
      if (!change.affectsConfiguration("codechef.apiUrl") || !this.following) return;
      this.leave();
      this.start();
    });
  }

  get state(): ServerState {
    return this.current;
  }

  /** Who is signed in; undefined while that is not known. */
  get me(): Me | undefined {
    return "me" in this.current ? this.current.me : undefined;
  }

  /** E.g. `http://127.0.0.1:8131`, without a slash at its end. */
  get url(): string {
    const setting = vscode.workspace.getConfiguration("codechef").get<string>("apiUrl", "");
    return setting.trim().replace(/\/+$/, "");
  }

  /** A client of the server that the settings name now. Throws a ChefProblem when they name none. */
  get api(): Api {
    const baseUrl = this.url;
    if (!isAddress(baseUrl)) throw noAddress("codechef.apiUrl", baseUrl, EXAMPLE);
    return createClient({ baseUrl, token: () => this.secrets.get(tokenKey(baseUrl)) });
  }

  /** The access token for the server that the settings name now. */
  token(): Thenable<string | undefined> {
    return this.secrets.get(tokenKey(this.url));
  }

  /**
   * Connects in the background, and from then on follows what changes there.
   *
   * A server that is away is asked again, with growing pauses; a token that is wrong is not.
   */
  start(): void {
    this.following?.abort();
    this.following = new AbortController();
    void this.run(this.following.signal);
  }

  /** Asks who we are there; keeps and tells the answer. Throws a ChefProblem. */
  async connect(): Promise<Me> {
    try {
      const me = await identify(this.api, this.url);
      this.become({ kind: "connected", me });
      this.pause.end();
      return me;
    } catch (error) {
      if (error instanceof ChefProblem) this.become({ kind: "failed", problem: error });
      throw error;
    }
  }

  /** Returns whom a token belongs to; keeps it when it is somebody's. Throws a ChefProblem. */
  async signIn(token: string): Promise<Me> {
    const baseUrl = this.url;
    const me = await identify(createClient({ baseUrl, token: () => token }), baseUrl);
    await this.secrets.store(tokenKey(baseUrl), token);
    this.become({ kind: "connected", me });
    this.start();
    return me;
  }

  /** Keeps a token that was just made for the server, before that runs. */
  keep(token: string): Thenable<void> {
    return this.secrets.store(tokenKey(this.url), token);
  }

  /** Forgets the token. */
  async signOut(): Promise<void> {
    await this.secrets.delete(tokenKey(this.url));
    this.leave();
    this.start();
  }

  /** Hangs up, as if nothing had been: that the server is away or knows us not is no news then. */
  leave(): void {
    this.following?.abort();
    this.become({ kind: "unasked" });
  }

  /** Asks at once, where the next try would be due later. */
  retry(): void {
    this.pause.end();
  }

  dispose(): void {
    this.following?.abort();
    this.settings.dispose();
    this.states.dispose();
    this.changes.dispose();
  }

  private async run(signal: AbortSignal): Promise<void> {
    let wait = FIRST_WAIT_MS;
    const stopped = (): boolean => signal.aborted;
    while (!stopped()) {
      try {
        const me = await identify(this.api, this.url);
        if (stopped()) return;
        wait = FIRST_WAIT_MS;
        this.become({ kind: "connected", me });
        await this.follow(me, signal);
      } catch (error) {
        if (stopped()) return;
        if (!(error instanceof ChefProblem)) throw error;
        this.become({ kind: "failed", problem: error });
        // Nothing but a person can mend it; whatever they do starts anew or ends this pause.
        await this.pause.wait(error.passing ? wait : undefined, signal);
        wait = Math.min(2 * wait, LONGEST_WAIT_MS);
      }
    }
  }

  /**
   * Tells what changes, until the server was away and is back, or the signal says to stop.
   *
   * Throws a ChefProblem that does not pass.
   */
  private async follow(me: Me, signal: AbortSignal): Promise<void> {
    const { api } = this;
    const both = new AbortController();
    const stopping = AbortSignal.any([signal, both.signal]);
    const activities = async (): Promise<void> => {
      const onState = (state: "live" | "reconnecting", problem?: ChefProblem): void => {
        if (stopping.aborted) return;
        const broken = this.current.kind === "reconnecting" ? this.current : undefined;
        if (state === "reconnecting") {
          if (!broken || (problem && !broken.problem)) {
            this.become({ kind: "reconnecting", me, ...(problem ? { problem } : {}) });
          }
          // Back again it may be another, or know us no more: who we are is asked anew.
        } else if (broken) both.abort();
        else this.changes.fire({ kind: "everything" });
      };
      for await (const { data } of follow(api, "/activity/events", { signal: stopping, onState })) {
        this.changes.fire({ kind: "activity", activity: data });
      }
    };
    const jobs = async (): Promise<void> => {
      for await (const { data } of follow(api, "/jobs/events", { signal: stopping })) {
        this.changes.fire({ kind: "job", event: data });
      }
    };
    try {
      await Promise.all([activities(), jobs()]);
    } finally {
      both.abort();
    }
  }

  private become(state: ServerState): void {
    const before = this.current;
    this.current = state;
    if (before.kind === "connected" && state.kind === "connected") {
      if (before.me.name === state.me.name && before.me.role === state.me.role) return;
    }
    this.states.fire(state);
  }
}

/** A token goes to the address that it was given for, wherever the settings point later. */
function tokenKey(url: string): string {
  return `codechef.token:${url}`;
}

/** Returns who we are at an address. Throws a ChefProblem, also when something else answers there. */
async function identify(api: Api, url: string): Promise<Me> {
  try {
    const me = await answered(api.GET("/me", { signal: AbortSignal.timeout(ANSWER_MS) }));
    if (typeof me.name === "string" && Array.isArray(me.may)) return me;
  } catch (error) {
    if (error instanceof ChefProblem) {
      const ours = error.passing || error.type !== "about:blank";
      throw ours ? error : foreign(url, error.status);
    }
    if (error instanceof Error && error.name === "TimeoutError") throw ChefProblem.unreachable(url);
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw foreign(url, 200);
}
