/** The gateway, which offers every agent's routed model in the form of OpenAI's API. */

import { answered, ChefProblem, type GatewayModel } from "@codechef/client";
import * as vscode from "vscode";

import { isAddress, noAddress } from "../problems.js";
import type { Server } from "../server.js";
import { refusal } from "./completions.js";

/** Where the gateway is, and what the server says of its models. */
export interface Address {
  /** E.g. `http://127.0.0.1:8130/v1`. */
  url: string;
  /** What serves each; empty when only the address is known. */
  models: readonly GatewayModel[];
}

/** What an address looks like. */
const EXAMPLE = "http://127.0.0.1:8130";

/** The gateway that the settings name, else the one that the server knows. */
export class Gateway {
  constructor(
    private readonly server: Pick<Server, "api">,
    private readonly secrets: vscode.SecretStorage,
  ) {}

  /** Returns where it is; undefined while none runs. Throws a ChefProblem. */
  async find(): Promise<Address | undefined> {
    const given = vscode.workspace.getConfiguration("codechef").get<string>("gatewayUrl", "");
    if (given.trim() !== "") {
      if (!isAddress(given)) throw noAddress("codechef.gatewayUrl", given, EXAMPLE);
      return { url: `${given.trim().replace(/(\/v1)?\/*$/, "")}/v1`, models: [] };
    }
    const { base_url: url, models } = await answered(this.server.api.GET("/gateway"));
    return url === null ? undefined : { url, models };
  }

  /** Keeps the key for an address where the operating system keeps secrets. */
  async keep(url: string, key: string): Promise<void> {
    await this.secrets.store(keyName(url), key);
  }

  /** Returns the ids of the models there. Throws a LanguageModelError, or a ChefProblem. */
  async models(url: string, signal: AbortSignal): Promise<string[]> {
    const response = await this.ask(`${url}/models`, { signal });
    const { data } = (await response.json()) as { data: { id: string }[] };
    return data.map(({ id }) => id);
  }

  /** Asks a model; returns its streamed answer. Throws a LanguageModelError, or a ChefProblem. */
  complete(url: string, body: object, taskId: string, signal: AbortSignal): Promise<Response> {
    return this.ask(`${url}/chat/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Task-Id": taskId },
      body: JSON.stringify({ ...body, stream: true }),
      signal,
    });
  }

  private async ask(url: string, init: RequestInit & { signal: AbortSignal }): Promise<Response> {
    const headers = new Headers(init.headers);
    const key = await this.secrets.get(keyName(url));
    if (key !== undefined) headers.set("Authorization", `Bearer ${key}`);
    let response: Response;
    try {
      response = await fetch(url, { ...init, headers });
    } catch (error) {
      if (init.signal.aborted) throw error;
      throw ChefProblem.unreachable(url);
    }
    if (!response.ok) throw refusal(response.status, await response.text());
    return response;
  }
}

/** A key goes to the address that it was given for, and to no other. */
function keyName(url: string): string {
  return `codechef.gatewayKey:${new URL(url).origin}`;
}
