/** Approvals: shown to the person, answered as them, and carried out when somebody has answered. */

import { answered, type ApprovalView, ChefProblem, type ShownApproval } from "@codechef/client";
import * as vscode from "vscode";

import { goOnInChat } from "./chat/going_on.js";
import { oneLine } from "./markdown.js";
import { show } from "./problems.js";
import type { Server } from "./server.js";
import { plain } from "./text.js";
import { dollars } from "./words.js";

const KEPT = "codechef.askedApprovals";

/** An approval that this person wants to hear of. */
interface Awaited {
  id: string;
  /** The address of the server that it is kept by. */
  server: string;
  /** Whether a conversation in the chat waits for it. */
  inChat: boolean;
}

export class Approvals implements vscode.Disposable {
  private readonly listening: vscode.Disposable;

  /** @param kept Remembers what this person waits for, also after the editor was closed. */
  constructor(
    private readonly server: Server,
    private readonly kept: vscode.Memento,
  ) {
    this.listening = server.onDidChange((change) => {
      if (change.kind === "job" || this.waiting.length === 0) return;
      if (change.kind === "activity" && !change.activity.action.startsWith("approv")) {
        if (!this.awaits(change.activity.subject)) return;
      }
      void this.lookAtWaiting();
    });
  }

  async get(approvalId: string): Promise<ShownApproval> {
    const path = { approval_id: approvalId };
    return answered(this.server.api.GET("/approvals/{approval_id}", { params: { path } }));
  }

  /** Carries out what was approved. Throws a ChefProblem. */
  async resume(approvalId: string): Promise<{ use_case: string; result: unknown }> {
    await this.forget(approvalId);
    const path = { approval_id: approvalId };
    return answered(this.server.api.POST("/approvals/{approval_id}/resume", { params: { path } }));
  }

  /**
   * Shows what waits to whoever may answer it, and has their answer kept.
   *
   * Returns how it stands then. Where the person may not answer, they are told who waits for whom.
   *
   * @param inChat Whether a conversation in the chat waits for it.
   */
  async decide(approvalId: string, inChat = false): Promise<ApprovalView> {
    const shown = await this.get(approvalId);
    if (shown.status !== "pending") return shown;
    if (!shown.may_answer) {
      const { name, role } = this.server.me ?? (await this.server.connect());
      await this.remember(approvalId, inChat);
      void vscode.window.showInformationMessage(
        plain(
          `Waits for somebody who may approve it; ${name} (${role}) may not. You hear when it is ` +
            `answered: ${shown.summary}`,
        ),
      );
      return shown;
    }
    return (await this.ask(shown)) ?? shown;
  }

  async answer(approvalId: string, approve: boolean, reason: string): Promise<ApprovalView> {
    return answered(
      this.server.api.POST("/approvals/{approval_id}/answer", {
        params: { path: { approval_id: approvalId } },
        body: { approve, reason },
      }),
    );
  }

  /** Tells the person when this one is answered. */
  async remember(id: string, inChat = false): Promise<void> {
    if (this.awaits(id)) return;
    await this.kept.update(KEPT, [...this.everywhere, { id, server: this.server.url, inChat }]);
  }

  dispose(): void {
    this.listening.dispose();
  }

  private get everywhere(): Awaited[] {
    return this.kept.get<Awaited[]>(KEPT, []);
  }

  private get waiting(): Awaited[] {
    return this.everywhere.filter(({ server }) => server === this.server.url);
  }

  private awaits(approvalId: string): boolean {
    return this.waiting.some(({ id }) => id === approvalId);
  }

  private async forget(approvalId: string): Promise<void> {
    const others = this.everywhere.filter(({ id }) => id !== approvalId);
    await this.kept.update(KEPT, others);
  }

  private async ask(shown: ShownApproval): Promise<ApprovalView | undefined> {
    const [approve, reject] = ["Approve", "Reject…"];
    const picked = await vscode.window.showWarningMessage(
      plain(shown.summary),
      { modal: true, detail: described(shown) },
      approve,
      reject,
    );
    if (picked === approve) return this.answer(shown.id, true, "");
    if (picked !== reject) return undefined;
    const reason = await vscode.window.showInputBox({
      title: "Reject: why?",
      prompt: "The reason is kept, and shown to who asked.",
      ignoreFocusOut: true,
    });
    return reason === undefined ? undefined : this.answer(shown.id, false, reason);
  }

  /** Tells of what was answered meanwhile, by whomever and at whatever door. */
  private async lookAtWaiting(): Promise<void> {
    for (const { id, inChat } of this.waiting) {
      try {
        const shown = await this.get(id);
        // Several changes may have us look at the same time: only one of them tells.
        if (shown.status === "pending" || !this.awaits(id)) continue;
        await this.forget(id);
        void this.tell(shown, inChat || shown.tool_call !== null);
      } catch (error) {
        if (!(error instanceof ChefProblem)) throw error;
        if (error.status === 404)
          await this.forget(id); // the server has forgotten it
        else if (!error.passing) await show(error);
      }
    }
  }

  private async tell(shown: ShownApproval, inChat: boolean): Promise<void> {
    const { id, status, approver, summary, reason } = shown;
    const who = approver ?? "nobody";
    const goOn = inChat ? "Go On in Chat" : undefined;
    let picked: string | undefined;
    if (status === "approved") {
      const text = plain(`Approved by ${who}: ${summary}`);
      picked = await vscode.window.showInformationMessage(text, goOn ?? "Carry Out");
    } else if (status === "rejected") {
      const why = reason === "" ? "" : ` Reason: ${reason}`;
      const text = plain(`Rejected by ${who}: ${summary}${why}`);
      picked = await vscode.window.showWarningMessage(text, ...(goOn ? [goOn] : []));
    }
    if (picked === undefined) return;
    if (inChat) await goOnInChat(id);
    else await vscode.commands.executeCommand("codechef.carryOut", { approval_id: id });
  }
}

/** What an approver should know: who asks, the most that it may cost, until when, and what for. */
export function described(shown: ApprovalView): string {
  const facts = [
    `Asked by ${shown.requester}`,
    `Costs at most ${dollars(shown.price_ceiling_usd)}`,
    `Expires ${new Date(shown.expires_at * 1000).toLocaleString()}`,
  ];
  return [facts.join("\n"), listed(shown.details), asked(shown)].filter(Boolean).join("\n\n");
}

/** What is asked for: of an agent's call the tool, and everything that it is called with. */
function asked({ request, tool_call: call }: ApprovalView): string {
  if (call === null) return listed(request);
  const { agent, server, tool } = call;
  return [listed({ agent, server, tool }), listed(call.arguments, LONGEST_ARGUMENT)]
    .filter(Boolean)
    .join("\n\n");
}

/** The fields of an object, a line each, without those that say nothing. */
export function listed(fields: Record<string, unknown>, longest = LONGEST): string {
  return Object.entries(fields)
    .filter(([, value]) => !isEmpty(value))
    .map(([name, value]) => `${oneLine(name).replaceAll("_", " ")}: ${short(value, longest)}`)
    .join("\n");
}

const LONGEST = 200;
const LONGEST_ARGUMENT = 1000;

function short(value: unknown, longest: number): string {
  // On its own line, or it could pass for a fact of the server's.
  const text = oneLine(typeof value === "string" ? value : JSON.stringify(value));
  const rest = text.length - longest;
  return rest > 0 ? `${text.slice(0, longest)}… (${rest} characters more)` : text;
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === "" || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
