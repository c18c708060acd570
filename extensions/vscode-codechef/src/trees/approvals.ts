/** What waits for an answer, and what was approved and waits to be carried out. */

import type { ShownApproval } from "@codechef/client";

import { described } from "../approvals.js";
import type { Desk } from "../desk.js";
import { dollars } from "../words.js";
import { node, type Node } from "./node.js";

export function approvals(desk: Desk): Node[] {
  return (desk.picture.seen?.approvals ?? []).map(approval);
}

function approval(one: ShownApproval): Node {
  const { id, summary, requester, status, approver, may_answer: may, tool_call: call } = one;
  const done = call === null ? "approval.approved" : "approval.call";
  const price = one.price_ceiling_usd > 0 ? `up to ${dollars(one.price_ceiling_usd)}` : "";
  const who = status === "approved" ? `approved by ${approver ?? ""}` : `asked by ${requester}`;
  return node({
    id: `approval/${id}`,
    label: summary,
    description: [who, price].filter(Boolean).join(" · "),
    tooltip: [summary, described(one)].join("\n"),
    icon: status === "approved" ? "pass" : may ? "bell-dot" : "bell",
    context: status === "approved" ? done : may ? "approval.mine" : "approval",
    given: { approval_id: id },
    opens: { view: "approval", params: { approval_id: id } },
  });
}
