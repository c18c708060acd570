/** The use cases as tools of the editor's language models: looked up, or changed after a person's yes. */

import {
  answered,
  ChefProblem,
  type PlannedChange,
  post,
  type ProblemDetails,
  type UseCase,
  type WaitsForApproval,
} from "@codechef/client";
import * as vscode from "vscode";

import { escaped, fenced } from "../markdown.js";
import type { Server } from "../server.js";
import { stoppable } from "../stoppable.js";
import { dollars } from "../words.js";

/** A tool as package.json contributes it; `scripts/tools.mjs` makes it from the API's document. */
interface Contributed {
  name: string;
  displayName: string;
  tags: string[];
}

const PREFIX = "codechef_";
const CARRY_OUT = `${PREFIX}carry_out_approved`;
const WAITS = { done: false, why: "A person has to approve it first, in the editor or elsewhere." };

type Input = Record<string, unknown>;
type Access = Pick<Server, "api">;

/** Registers every tool that package.json contributes. */
export function registerTools(context: vscode.ExtensionContext, server: Server): void {
  const { contributes } = context.extension.packageJSON as {
    contributes: { languageModelTools: Contributed[] };
  };
  for (const contributed of contributes.languageModelTools) {
    context.subscriptions.push(
      vscode.lm.registerTool(contributed.name, toolOf(contributed, server)),
    );
  }
}

/** Returns what stands behind a contributed tool. */
export function toolOf(
  { name, displayName, tags }: Contributed,
  server: Access,
): vscode.LanguageModelTool<Input> {
  if (name === CARRY_OUT) return new CarryOut(server);
  // Which use cases there are is the server's to say: package.json is made from its document.
  const useCase = name.slice(PREFIX.length) as UseCase;
  if (tags.includes("changes")) return new Changing(server, useCase, displayName);
  return new Reading(server, useCase, displayName);
}

/** A use case, asked for by a model. */
class UseCaseTool {
  constructor(
    protected readonly server: Access,
    protected readonly useCase: UseCase,
    protected readonly title: string,
  ) {}

  invoke(
    { input }: vscode.LanguageModelToolInvocationOptions<Input>,
    token: vscode.CancellationToken,
  ): Promise<vscode.LanguageModelToolResult> {
    return told(token, async (signal) => {
      const { response, data } = await post(this.server.api, this.useCase, input, { signal });
      return response.status === 202 ? { ...WAITS, ...(data as WaitsForApproval) } : data;
    });
  }
}

/** One that only looks. */
class Reading extends UseCaseTool implements vscode.LanguageModelTool<Input> {
  prepareInvocation(): vscode.PreparedToolInvocation {
    return { invocationMessage: this.title };
  }
}

/** One that changes something: a person sees first what it would be, and its price. */
class Changing extends UseCaseTool implements vscode.LanguageModelTool<Input> {
  async prepareInvocation(
    { input }: vscode.LanguageModelToolInvocationPrepareOptions<Input>,
    token: vscode.CancellationToken,
  ): Promise<vscode.PreparedToolInvocation> {
    const shown = { invocationMessage: this.title };
    if (input["dry_run"] === true) return shown;
    const asked = { ...input, dry_run: true };
    const { data } = await prepared(token, (signal) =>
      post(this.server.api, this.useCase, asked, { signal }),
    );
    const planned = data as PlannedChange;
    const approval = planned.approval_needed ? " It waits for an approval as well." : "";
    const message = [
      escaped(planned.summary),
      `Estimated cost: ${escaped(dollars(planned.estimated_cost_usd))}.${approval}`,
      escaped([planned.afterwards, planned.objection].filter(Boolean).join(" ")),
      fenced(JSON.stringify(input, null, 2)),
    ]
      .filter(Boolean)
      .join("\n\n");
    return { ...shown, confirmationMessages: { title: `${this.title}?`, message } };
  }
}

/** Carries out what a person has approved. */
class CarryOut implements vscode.LanguageModelTool<Input> {
  constructor(private readonly server: Access) {}

  async prepareInvocation(
    { input }: vscode.LanguageModelToolInvocationPrepareOptions<Input>,
    token: vscode.CancellationToken,
  ): Promise<vscode.PreparedToolInvocation> {
    const approval = await prepared(token, (signal) =>
      answered(this.server.api.GET("/approvals/{approval_id}", { ...naming(input), signal })),
    );
    const shown = { invocationMessage: "Carry out what was approved" };
    // An agent's call is carried out by its conversation alone: the server says so, and does nothing.
    if (approval.tool_call !== null) return shown;
    const price = escaped(dollars(approval.price_ceiling_usd));
    const message = `${escaped(approval.summary)}\n\nAt most ${price}. It is ${approval.status}.`;
    return {
      ...shown,
      confirmationMessages: { title: "Carry out what was approved?", message },
    };
  }

  invoke(
    { input }: vscode.LanguageModelToolInvocationOptions<Input>,
    token: vscode.CancellationToken,
  ): Promise<vscode.LanguageModelToolResult> {
    return told(token, async (signal) => {
      const { api } = this.server;
      const at = { ...naming(input), signal };
      return answered(api.POST("/approvals/{approval_id}/resume", at));
    });
  }
}

function naming({ approval_id: id }: Input): { params: { path: { approval_id: string } } } {
  return { params: { path: { approval_id: String(id) } } };
}

/**
 * Returns what is needed to prepare a call.
 *
 * Of what it throws the editor tells a model the message alone: so that has the remedy in it.
 */
async function prepared<T>(
  token: vscode.CancellationToken,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  try {
    return await stoppable(token, ask);
  } catch (error) {
    if (!(error instanceof ChefProblem)) throw error;
    throw new Error([error.message, error.remedy].filter(Boolean).join(" "), { cause: error });
  }
}

/** Returns the answer as a model reads it; what stands in the way is told as plainly. */
async function told(
  token: vscode.CancellationToken,
  ask: (signal: AbortSignal) => Promise<unknown>,
): Promise<vscode.LanguageModelToolResult> {
  try {
    return resultOf(await stoppable(token, ask));
  } catch (error) {
    if (!(error instanceof ChefProblem)) throw error;
    const { message, remedy, type, details } = error;
    return resultOf({ done: false, error: message, remedy, type, ...more(details) });
  }
}

/** Which values are wrong, or which points are not met: what a model can mend. */
function more(details: ProblemDetails | undefined): Partial<ProblemDetails> {
  const { errors = [], checklist = [] } = details ?? {};
  return {
    ...(errors.length > 0 ? { errors } : {}),
    ...(checklist.length > 0 ? { checklist } : {}),
  };
}

function resultOf(value: unknown): vscode.LanguageModelToolResult {
  const text = JSON.stringify(value);
  return new vscode.LanguageModelToolResult([new vscode.LanguageModelTextPart(text)]);
}
