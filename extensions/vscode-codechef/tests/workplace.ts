/** The extension at work in the fake editor, against a double of the API. */

import type { Overview, PlannedChange, ShownApproval } from "@codechef/client";

import { Approvals } from "../src/approvals.js";
import { registerCommands } from "../src/commands/commands.js";
import type { Desk } from "../src/desk.js";
import { Picture } from "../src/picture.js";
import { Server } from "../src/server.js";
import { registerStatusBar } from "../src/status_bar.js";
import type { Node, Tree } from "../src/trees/node.js";
import { registerTrees } from "../src/trees/trees.js";
import { Views } from "../src/webviews/views.js";
import { ApiDouble, type Heard } from "./double.js";
import { eventually } from "./eventually.js";
import { commands, editor, Memento, screen, Secrets, settings, Uri } from "./fakes/vscode.js";

export const OVERVIEW: Overview = {
  agents: [
    {
      agent: "docs",
      model: "tiny-docs",
      version: "v1.0.0",
      newest: "v1.0.0",
      arms: [],
      rollout_id: null,
      phase: null,
    },
  ],
  processes: [],
  pending_approvals: 0,
  running_jobs: 0,
  unfinished_intents: 0,
};

export const PLANNED: PlannedChange = {
  dry_run: true,
  summary: "Train docs on docs-1",
  estimated_cost_usd: 1.5,
  cost_is_per_hour: false,
  estimated_minutes: null,
  approval_needed: false,
  afterwards: null,
  objection: null,
  details: { base_model: "tiny" },
};

export function approval(changes: Partial<ShownApproval> = {}): ShownApproval {
  return {
    id: "ap_1",
    use_case: "deploy_model_to_agent",
    request: { agent: "docs", version: "v1.1.0" },
    tool_call: null,
    request_hash: "h",
    summary: "Deploy docs v1.1.0",
    details: {},
    price_ceiling_usd: 3,
    requester: "ada",
    editors: [],
    status: "pending",
    created_at: 1_790_000_000,
    expires_at: 1_790_086_400,
    approver: null,
    reason: "",
    answered_at: null,
    consumed_at: null,
    edited_from: null,
    replaced_by: null,
    may_answer: true,
    refusal: null,
    ...changes,
  };
}

export class Workplace {
  readonly subscriptions: { dispose: () => unknown }[] = [];
  readonly secrets = new Secrets();

  private constructor(
    readonly api: ApiDouble,
    readonly desk: Desk,
  ) {}

  static async open(): Promise<Workplace> {
    editor.reset();
    const api = await ApiDouble.start();
    api.on("GET /overview", OVERVIEW);
    api.on("GET /jobs", { jobs: [] });
    api.on("GET /rollouts", { rollouts: [] });
    api.on("GET /approvals", { approvals: [] });
    settings.set("codechef.apiUrl", api.url);
    const server = new Server(new Secrets() as never);
    const picture = new Picture(server, 1);
    const approvals = new Approvals(server, new Memento() as never);
    const views = new Views(Uri.file("/extension") as never, server);
    const place = new Workplace(api, { server, picture, approvals, views });
    place.subscriptions.push(server, picture, approvals, views);
    registerCommands(place as never, place.desk);
    return place;
  }

  /** Connects, and shows trees and status bar. */
  async show(): Promise<void> {
    registerTrees(this as never, this.desk);
    registerStatusBar(this as never, this.desk.server, this.desk.picture);
    this.desk.server.start();
    await eventually(() => {
      if (this.desk.picture.seen === undefined) throw new Error("Nothing was seen yet.");
    });
  }

  /** Answers a use case: dry runs with a plan, the rest with a result. */
  useCase(name: string, result: unknown, planned: Partial<PlannedChange> = {}): void {
    this.api.answer(`POST /modelops/${name}`, ({ body }, response) => {
      const dry = (body as { dry_run?: boolean }).dry_run === true;
      response.writeHead(200, { "Content-Type": "application/json" });
      response.end(JSON.stringify(dry ? { ...PLANNED, ...planned } : result));
    });
  }

  /** What was asked for in earnest. */
  done(name: string): unknown[] {
    return this.api
      .asked(`POST /modelops/${name}`)
      .map(({ body }: Heard) => body)
      .filter((body) => (body as { dry_run?: boolean }).dry_run !== true);
  }

  run(command: string, given?: object): Promise<unknown> {
    return commands.executeCommand(`codechef.${command}`, given);
  }

  /** What stands in a tree, at its top or beneath something. */
  async nodes(tree: string, above?: Node): Promise<Node[]> {
    const provider = screen.trees.get(`codechef.${tree}`)?.treeDataProvider as Tree;
    return provider.getChildren(above);
  }

  /** The lines of a tree, with those beneath them, as `label | description`. */
  async lines(tree: string, above?: Node): Promise<string[]> {
    const found: string[] = [];
    for (const node of await this.nodes(tree, above)) {
      const { label, description } = node.item as { label: string; description?: string };
      found.push([label, description].filter(Boolean).join(" | "));
      const below = await this.lines(tree, node);
      found.push(...below.map((line) => `  ${line}`));
    }
    return found;
  }

  async close(): Promise<void> {
    for (const one of this.subscriptions.splice(0)) one.dispose();
    await this.api.stop();
  }
}
