/** Agents: what serves each, the split, and the versions there are. */

import {
  answered,
  type AgentServing,
  type Arm,
  ChefProblem,
  type ModelVersion,
} from "@codechef/client";

import type { Desk } from "../desk.js";
import { figure } from "../words.js";
import { node, type Node } from "./node.js";

export function agents(desk: Desk): Node[] {
  return (desk.picture.seen?.overview.agents ?? []).map((serving) => agent(desk, serving));
}

function agent(desk: Desk, serving: AgentServing): Node {
  const { agent: name, model, version, arms, phase, rollout_id: rollout } = serving;
  const split = arms.length > 1;
  return node({
    id: `agent/${name}`,
    label: name,
    description: [version, model, split ? phase : ""].filter(Boolean).join(" · "),
    icon: split ? "git-branch" : "hubot",
    context: split ? "agent.rollout" : "agent",
    given: { agent: name },
    children: () => [
      ...(split ? arms.map((arm) => armOf(name, arm, rollout)) : []),
      ...[versions(desk, name)],
    ],
  });
}

/** One of those that share an agent's requests. */
export function armOf(owner: string, arm: Arm, rollout: string | null): Node {
  const mirrored = arm.mirror > 0 ? `copies of ${arm.mirror} %` : "";
  return node({
    id: `arm/${owner}/${arm.name}`,
    label: arm.name,
    description: [`${arm.weight} %`, mirrored, arm.version, arm.model].filter(Boolean).join(" · "),
    icon: "arrow-small-right",
    context: "arm",
    ...(rollout === null ? {} : { opens: { view: "rollout", params: { rollout_id: rollout } } }),
  });
}

function versions(desk: Desk, name: string): Node {
  return node({
    id: `versions/${name}`,
    label: "Versions",
    icon: "versions",
    context: "versions",
    given: { agent: name },
    children: async () => (await historyOf(desk, name)).map((one) => version(name, one)),
  });
}

/** The registry's versions of an agent; none where it does not know the agent yet. */
async function historyOf(desk: Desk, name: string): Promise<ModelVersion[]> {
  const at = { params: { path: { agent: name } } };
  try {
    return (await answered(desk.server.api.GET("/registry/{agent}", at))).history;
  } catch (error) {
    if (error instanceof ChefProblem && error.status === 404) return [];
    throw error;
  }
}

function version(owner: string, one: ModelVersion): Node {
  const { version: name, model_id: model, deployment_status: status, eval_scores: scores } = one;
  const accuracy = scores?.accuracy ?? null;
  const measured = accuracy === null ? "not evaluated" : `accuracy ${figure(accuracy)}`;
  return node({
    id: `version/${owner}/${name}`,
    label: name,
    description: [status.replaceAll("_", " "), measured].join(" · "),
    tooltip: [`${owner} ${name}`, model, one.changelog, one.notes].filter(Boolean).join("\n"),
    icon: status === "deployed" ? "pass-filled" : "package",
    context: "version",
    given: { agent: owner, version: name },
    opens: { view: "registry", params: { agent: owner } },
  });
}
