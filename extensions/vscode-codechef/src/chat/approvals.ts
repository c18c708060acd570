/** What waits for a person, in the chat: what would be done, the price, and buttons. */

import { answered, type Api, type ShownApproval } from "@codechef/client";
import type * as vscode from "vscode";

import { escaped } from "../markdown.js";
import { dollars } from "../words.js";

/** What is known of an approval wherever one is shown. */
export interface WaitingApproval {
  approval_id: string;
  summary: string;
  /** Dollars at most. */
  price_usd: number;
  /** Seconds since the epoch. */
  expires_at: number;
  requester: string;
}

/**
 * Shows an approval that waits, with the button that answers it.
 *
 * @param inChat Whether a conversation waits for it that can go on in the chat.
 */
export function approvalBlock(
  stream: vscode.ChatResponseStream,
  approval: WaitingApproval,
  inChat: boolean,
): void {
  const until = new Date(approval.expires_at * 1000).toLocaleString();
  const facts = [
    `at most ${dollars(approval.price_usd)}`,
    `asked for by ${approval.requester}`,
    `waits until ${until}`,
    approval.approval_id,
  ].map(escaped);
  stream.markdown(
    `\n\n**Needs an approval:** ${escaped(approval.summary)}\n\n${facts.join(" · ")}\n\n`,
  );
  const { approval_id } = approval;
  stream.button({
    command: inChat ? "codechef.answerApproval" : "codechef.approvals",
    title: "Approve or Reject…",
    arguments: [{ approval_id }],
  });
  stream.button({
    command: "codechef.openView",
    title: "Show",
    arguments: [{ view: "approval", params: { approval_id } }],
  });
}

/** Shows one approval: with buttons while it waits, else what became of it. */
export function showApproval(
  stream: vscode.ChatResponseStream,
  approval: ShownApproval,
  inChat: boolean,
): void {
  const { id, status, approver, reason, tool_call } = approval;
  if (status === "pending") {
    const { price_ceiling_usd: price_usd, ...rest } = approval;
    approvalBlock(stream, { ...rest, approval_id: id, price_usd }, inChat || tool_call !== null);
    return;
  }
  const by = approver === null ? "" : ` by ${approver}`;
  const why = reason === "" ? "" : ` (${reason})`;
  stream.markdown(escaped(`${id} is ${status}${by}${why}: ${approval.summary}`));
  if (status === "approved") {
    const [command, title] =
      tool_call === null ? ["codechef.carryOut", "Carry Out"] : ["codechef.goOn", "Go On"];
    stream.button({ command, title, arguments: [{ approval_id: id }] });
  }
}

/** Shows everything that waits. */
export async function showApprovals(
  api: Api,
  stream: vscode.ChatResponseStream,
  signal: AbortSignal,
): Promise<void> {
  const { approvals } = await answered(api.GET("/approvals", { signal }));
  for (const approval of approvals) showApproval(stream, approval, false);
  if (approvals.length === 0) stream.markdown("Nothing waits for an approval.");
}
