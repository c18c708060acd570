/** Rollouts, newest first; those under way with the verdict as it stands. */

import type { RolloutReport, RolloutState } from "@codechef/client";

import type { Desk } from "../desk.js";
import { armOf } from "./agents.js";
import { node, type Node } from "./node.js";

const ICONS: Readonly<Record<RolloutState["phase"], { icon: string; color?: string }>> = {
  running: { icon: "pulse" },
  guard: { icon: "shield" },
  promoted: { icon: "pass", color: "testing.iconPassed" },
  rolled_back: { icon: "discard", color: "testing.iconFailed" },
};

/** @param live The last reports of rollouts that are under way. */
export function rollouts(desk: Desk, live: ReadonlyMap<string, RolloutReport>): Node[] {
  return (desk.picture.seen?.rollouts ?? []).map((one) => rollout(one, live.get(one.id)));
}

function rollout(one: RolloutState, report: RolloutReport | undefined): Node {
  const { id, agent, strategy, phase, reason } = one;
  const running = isUnderWay(phase);
  const verdict = running ? (report?.verdict ?? null) : null;
  return node({
    id: `rollout/${id}`,
    label: `${agent}: ${strategy.replaceAll("_", " ")}`,
    description: [phase.replaceAll("_", " "), verdict, splitOf(one, running)]
      .filter(Boolean)
      .join(" · "),
    tooltip: [id, reason, report?.verdict_reason, report?.outlook].filter(Boolean).join("\n"),
    ...ICONS[phase],
    ...(verdict === "fail" ? { color: "testing.iconFailed" } : {}),
    context: running ? "rollout.running" : "rollout",
    given: { agent },
    opens: { view: "rollout", params: { rollout_id: id } },
    ...(running ? { children: () => one.arms.map((arm) => armOf(id, arm, id)) } : {}),
  });
}

export function isUnderWay(phase: string | null): boolean {
  return phase === "running" || phase === "guard";
}

function splitOf({ arms }: RolloutState, running: boolean): string {
  return running ? arms.map(({ weight }) => weight).join("/") : "";
}
