import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";

import { type Api, createClient } from "@codechef/client";

import { atEnd } from "./endings.js";
import { CHEF } from "./paths.js";
import { answers, Running, startDouble } from "./processes.js";
import { until } from "./until.js";

interface Ready {
  variables: Record<string, string>;
  tokens: Record<"ada" | "bob" | "grace" | "victor", string>;
  gateway_token: string;
  examples: string;
  bad_model: string;
  /** A model that the Hub trains for a price. */
  hub_base: string;
  /** What a model calls a tool for. */
  calls: Record<"open_issue" | "build_dataset", string>;
  /** The file of the issues that an agent has opened. */
  issues: string;
}

/** An installation of its own (`tests.doubles.training_ground`) and its `chef serve`. */
export class Ground {
  private serving: Running | undefined;

  private constructor(
    readonly folder: string,
    readonly ready: Ready,
  ) {}

  /** Makes the installation, which goes with the tests; `serve` starts it. */
  static async make(): Promise<Ground> {
    const folder = await mkdtemp(`${tmpdir()}/codechef-`);
    atEnd(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
    const { ready } = await startDouble("training_ground", folder);
    return new Ground(folder, ready as Ready);
  }

  get url(): string {
    return `http://127.0.0.1:${this.ready.variables["CHEF_API_PORT"] ?? ""}`;
  }

  get gatewayUrl(): string {
    return `http://127.0.0.1:${this.ready.variables["CHEF_GATEWAY_PORT"] ?? ""}`;
  }

  /** Starts `chef serve`, as a user types it, and waits until it is ready. */
  async serve(): Promise<void> {
    const serving = Running.start("serve", CHEF, ["serve"], {
      cwd: this.folder,
      env: this.ready.variables,
    });
    this.serving = serving;
    await until("chef serve to be ready", () => {
      if (serving.ended) throw new Error("chef serve ended: see serve.log.");
      return answers(`${this.url}/ready`);
    });
  }

  /** Stops what `serve` started; returns once nothing answers any more. */
  async interrupt(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    await this.serving?.stop(signal);
    await until("the API to be gone", async () =>
      (await answers(`${this.url}/health`)) ? undefined : true,
    );
  }

  /** The API, as one of the people asks it. */
  as(person: keyof Ready["tokens"]): Api {
    return createClient({ baseUrl: this.url, token: () => this.ready.tokens[person] });
  }

  /** Sends a request of real work through the gateway; returns the status of its answer. */
  async work(number: number): Promise<number> {
    const response = await fetch(`${this.gatewayUrl}/v1/chat/completions`, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        Authorization: `Bearer ${this.ready.gateway_token}`,
        "X-Task-Id": `task-${number}`,
      },
      body: JSON.stringify({
        model: "agent/feature_dev",
        messages: [{ role: "user", content: `Name the defect in function number ${number}.` }],
      }),
    });
    await response.text();
    return response.status;
  }
}
