/** Every agent's routed model, to be picked in the editor: the gateway's, by what serves them. */

import { createHash } from "node:crypto";

import { ChefProblem, type GatewayModel } from "@codechef/client";
import * as vscode from "vscode";

import { show } from "../problems.js";
import type { Server } from "../server.js";
import { stoppable } from "../stoppable.js";
import { plain } from "../text.js";
import { mayTravel } from "../travelling.js";
import { partsOf } from "./completions.js";
import { Gateway } from "./gateway.js";
import { textOf, wireMessages, wireTools } from "./messages.js";

export const VENDOR = "codechef";

interface Model extends vscode.LanguageModelChatInformation {
  /** The gateway that offers it; undefined for the one that stands in for all. */
  url?: string;
}

/**
 * What is always there to be chosen.
 *
 * `@chef` needs no model of the editor's, but the editor lets nobody chat without one: who is not
 * signed in, or whose server is down, would not even be told so.
 */
const STAND_IN: Model = {
  id: "none",
  name: "code/chef: @chef only",
  family: VENDOR,
  version: "",
  tooltip:
    "@chef answers without a model of the editor's. For other chats choose an agent's model.",
  maxInputTokens: 1,
  maxOutputTokens: 1,
  capabilities: { toolCalling: true },
};

/** Registers the models, and the command that takes the gateway's key. */
export function registerModels(
  context: vscode.ExtensionContext,
  server: Server,
  log: vscode.LogOutputChannel,
): void {
  const gateway = new Gateway(server, context.secrets);
  const models = new RoutedModels(gateway, log);
  context.subscriptions.push(
    models,
    vscode.lm.registerLanguageModelChatProvider(VENDOR, models),
    vscode.commands.registerCommand("codechef.setGatewayKey", async () => {
      try {
        if (await askForKey(gateway)) models.look();
      } catch (error) {
        if (!(error instanceof ChefProblem)) throw error;
        await show(error);
      }
    }),
    server.onDidChangeState(() => models.look()),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration("codechef.gatewayUrl")) models.look();
    }),
  );
  // The editor asks for the models of a vendor only when somebody wants one.
  void vscode.lm.selectChatModels({ vendor: VENDOR });
}

/** Offers the gateway's models to the editor, and passes on what is asked of them. */
export class RoutedModels implements vscode.LanguageModelChatProvider<Model>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  /** Those that were there last: one that is chosen has to stay, or the chat takes nothing more. */
  private known: Model[] = [];
  readonly onDidChangeLanguageModelChatInformation = this.changed.event;

  constructor(
    private readonly gateway: Gateway,
    private readonly log: Pick<vscode.LogOutputChannel, "info" | "warn">,
  ) {}

  /** Has the editor ask again: other models may be there now. */
  look(): void {
    this.changed.fire();
  }

  dispose(): void {
    this.changed.dispose();
  }

  async provideLanguageModelChatInformation(
    { silent }: vscode.PrepareLanguageModelChatModelOptions,
    token: vscode.CancellationToken,
  ): Promise<Model[]> {
    try {
      return [STAND_IN, ...(await this.offered(token))];
    } catch (error) {
      if (token.isCancellationRequested) return [];
      if (!(error instanceof ChefProblem || error instanceof vscode.LanguageModelError))
        throw error;
      this.log.info(`No models: ${error.message}`);
      const mended = !silent && isRefused(error) && (await askForKey(this.gateway));
      return [STAND_IN, ...(mended ? await this.offered(token) : this.known)];
    }
  }

  async provideLanguageModelChatResponse(
    model: Model,
    messages: readonly vscode.LanguageModelChatRequestMessage[],
    options: vscode.ProvideLanguageModelChatResponseOptions,
    progress: vscode.Progress<vscode.LanguageModelResponsePart>,
    token: vscode.CancellationToken,
  ): Promise<void> {
    const { url } = model;
    if (url === undefined) throw vscode.LanguageModelError.NotFound(model.tooltip);
    const body = { ...options.modelOptions, model: model.id, ...this.asked(messages, options) };
    try {
      await stoppable(token, async (signal) => {
        const response = await this.gateway.complete(url, body, taskOf(messages), signal);
        for await (const part of partsOf(response)) progress.report(part);
      });
    } catch (error) {
      if (!token.isCancellationRequested) throw error;
    }
  }

  /** An estimate, a token for every four bytes: no agent's tokenizer is at hand here. */
  provideTokenCount(
    _model: Model,
    text: string | vscode.LanguageModelChatRequestMessage,
  ): Promise<number> {
    const whole = typeof text === "string" ? text : text.content.map(textOf).join("");
    return Promise.resolve(Math.ceil(Buffer.byteLength(whole) / 4));
  }

  private async offered(token: vscode.CancellationToken): Promise<Model[]> {
    const address = await this.gateway.find();
    if (address === undefined) {
      this.log.info(`No models: ${noGateway().message}`);
      return this.known;
    }
    const ids = await stoppable(token, (signal) => this.gateway.models(address.url, signal));
    this.known = ids.map((id) =>
      modelOf(
        id,
        address.url,
        address.models.find((model) => model.id === id),
      ),
    );
    return this.known;
  }

  private asked(
    messages: readonly vscode.LanguageModelChatRequestMessage[],
    { tools = [], toolMode }: vscode.ProvideLanguageModelChatResponseOptions,
  ): object {
    const wire = wireMessages(messages, (kind) => this.log.warn(`A part (${kind}) is left out.`));
    if (tools.length === 0) return { messages: wire };
    const must = toolMode === vscode.LanguageModelChatToolMode.Required;
    return { messages: wire, tools: wireTools(tools), tool_choice: must ? "required" : "auto" };
  }
}

function modelOf(id: string, url: string, known: GatewayModel | undefined): Model {
  const serves = known === undefined ? "" : [known.serves, known.version].filter(Boolean).join(" ");
  const shared = known?.rollout_id ? `; ${known.rollout_id} shares its requests` : "";
  return {
    id,
    url,
    name: id,
    family: known?.serves ?? id,
    version: known?.version ?? "",
    ...(serves === "" ? {} : { detail: serves, tooltip: `${serves}${shared}` }),
    ...limits(),
    capabilities: { toolCalling: true },
  };
}

function limits(): Pick<Model, "maxInputTokens" | "maxOutputTokens"> {
  const settings = vscode.workspace.getConfiguration("codechef");
  return {
    maxInputTokens: settings.get<number>("maxInputTokens", 0),
    maxOutputTokens: settings.get<number>("maxOutputTokens", 0),
  };
}

/** Returns what keeps a conversation on its arm: what was said before its first answer. */
function taskOf(messages: readonly vscode.LanguageModelChatRequestMessage[]): string {
  const { Assistant } = vscode.LanguageModelChatMessageRole;
  const answer = messages.findIndex(({ role }) => role === Assistant);
  const begins = answer < 0 ? messages : messages.slice(0, answer);
  const text = begins.flatMap(({ content }) => content.map(textOf)).join("\n");
  return `vscode-${createHash("sha256").update(text).digest("hex").slice(0, 32)}`;
}

function isRefused(error: Error): boolean {
  return error instanceof vscode.LanguageModelError && error.code === "NoPermissions";
}

function noGateway(): ChefProblem {
  return new ChefProblem(
    "The server knows of no gateway that runs.",
    503,
    "urn:code-chef:problem:no-gateway",
    "Start one with `chef serve`, or name its address in the setting codechef.gatewayUrl.",
  );
}

/** Asks for the gateway's key and keeps it; false when none was given. Throws a ChefProblem. */
async function askForKey(gateway: Gateway): Promise<boolean> {
  const address = await gateway.find();
  if (address === undefined) throw noGateway();
  if (!(await mayTravel("the gateway's key", address.url))) return false;
  const key = await vscode.window.showInputBox({
    title: "Key of the code/chef gateway",
    prompt: plain(`For ${address.url}: chef gateway keys add NAME`),
    password: true,
    ignoreFocusOut: true,
  });
  if (!key?.trim()) return false;
  await gateway.keep(address.url, key.trim());
  return true;
}
