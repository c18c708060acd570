import type { JSX } from "preact";

export type Tone = "good" | "bad" | "warn" | "info" | "plain";

/** A word of the server's with a colour that says the same. */
export function Badge({ tone, children }: { tone: Tone; children: string }): JSX.Element {
  return (
    <span class={`badge ${tone}`}>
      <bdi>{children}</bdi>
    </span>
  );
}

const TONES: Record<string, Tone> = {
  // verdicts
  pass: "good",
  fail: "bad",
  inconclusive: "plain",
  error: "bad",
  // jobs
  pending: "info",
  running: "info",
  completed: "good",
  failed: "bad",
  cancelled: "plain",
  // processes and breakers
  ready: "good",
  not_ready: "warn",
  silent: "bad",
  stopped: "plain",
  healthy: "good",
  unhealthy: "bad",
  closed: "good",
  half_open: "warn",
  open: "bad",
  unknown: "plain",
  // approvals
  approved: "good",
  rejected: "bad",
  consumed: "good",
  edited: "plain",
  expired: "plain",
  // versions
  deployed: "good",
  archived: "plain",
  not_deployed: "plain",
};

/** The tone of a state that the server names; plain for one that is not known here. */
export function toneOf(state: string): Tone {
  return TONES[state.toLowerCase()] ?? "plain";
}

/** A state that the server names. */
export function State({ of }: { of: string }): JSX.Element {
  return <Badge tone={toneOf(of)}>{of.replaceAll("_", " ")}</Badge>;
}
