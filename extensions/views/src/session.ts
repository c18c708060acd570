/** Who looks, and the API as they may use it. */

import { answered, type Api, ChefProblem, createClient, type Me } from "@codechef/client";
import { type ReadonlySignal, signal } from "@preact/signals";

import type { Host } from "./host/host.js";

const AGAIN_MS = 2_000;

export type SessionState =
  | { kind: "asking" }
  | { kind: "signed-in"; me: Me }
  /** A token is needed; the problem says why, once one was tried. */
  | { kind: "signed-out"; problem?: ChefProblem }
  | { kind: "failed"; problem: ChefProblem };

export class Session {
  readonly api: Api;
  private readonly now = signal<SessionState>({ kind: "asking" });
  private retry: ReturnType<typeof setTimeout> | undefined;
  /** Who we are, while that is asked; what an earlier question is answered counts no more. */
  private asked: Promise<Me> | undefined;

  constructor(private readonly host: Host) {
    this.api = createClient({
      baseUrl: host.baseUrl,
      token: () => host.token?.get(),
      fetch: async (request) => {
        const response = await host.fetch(request);
        const news = this.now.value.kind === "signed-in" && this.asked === undefined;
        if (response.status === 401 && news) void this.begin();
        return response;
      },
    });
  }

  get state(): ReadonlySignal<SessionState> {
    return this.now;
  }

  /** Asks who we are; keeps asking while no server answers. */
  async begin(): Promise<void> {
    clearTimeout(this.retry);
    const asked = (this.asked = answered(this.api.GET("/me")));
    try {
      const me = await asked;
      if (this.asked === asked) this.now.value = { kind: "signed-in", me };
    } catch (error) {
      if (!(error instanceof ChefProblem)) throw error;
      if (this.asked === asked) this.failed(error);
    } finally {
      if (this.asked === asked) this.asked = undefined;
    }
  }

  async signIn(token: string): Promise<void> {
    this.host.token?.set(token.trim());
    await this.begin();
  }

  signOut(): void {
    this.host.token?.set(undefined);
    this.now.value = { kind: "asking" };
    void this.begin();
  }

  /** Whether there is a token to forget. */
  get hasToken(): boolean {
    return this.host.token?.get() !== undefined;
  }

  private failed(problem: ChefProblem): void {
    if (problem.status === 401 && this.host.token !== undefined) {
      const tried = this.hasToken;
      this.host.token.set(undefined);
      this.now.value = tried ? { kind: "signed-out", problem } : { kind: "signed-out" };
      return;
    }
    this.now.value = { kind: "failed", problem };
    if (problem.passing) this.retry = setTimeout(() => void this.begin(), AGAIN_MS);
  }
}
