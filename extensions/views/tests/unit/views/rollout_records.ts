/** A rollout, an approval and a simulation as the server tells them, whole, for tests to vary. */

import type {
  CanarySimulated,
  GuardrailStatus,
  RolloutHistory,
  RolloutReport,
  RolloutState,
  ShownApproval,
} from "@codechef/client";

export const ERRORS: GuardrailStatus = {
  guardrail: "error",
  verdict: "inconclusive",
  arm: "candidate",
  candidate_n: 200,
  stable_n: 800,
  candidate_rate: 0.97,
  stable_rate: 0.98,
  e_value: 2.5,
  threshold: 80,
  lower_bound: -0.06,
  look: 1,
  better_e_value: null,
  better_threshold: null,
  difference: [-0.04, 0.02],
};

export const ARM = {
  mirror_pct: 0,
  realised_pct: 79.5,
  requests: 800,
  errors: 16,
  latency_ms: { p50: 410, p95: 1250, p99: 2100 },
  health: "closed",
  condition: "healthy",
  recent_calls: 10,
  recent_failures: 0,
  trip_reason: "",
} as const;

export const ROLLOUT: RolloutReport = {
  agent: "docs",
  rollout_id: "ro_1",
  strategy: "canary",
  phase: "running",
  step: 0,
  steps: [20, 50, 100],
  weight: 20,
  reason: "",
  arms: [
    { ...ARM, arm: "stable", version: "v1.0.0", model: "acme/docs", asked_pct: 80 },
    {
      ...ARM,
      arm: "candidate",
      version: "v1.1.0",
      model: "acme/docs-v2",
      asked_pct: 20,
      realised_pct: 20.5,
      requests: 200,
      errors: 6,
    },
  ],
  verdict: "inconclusive",
  verdict_reason: "error: the candidate may be 0.06 worse.",
  outlook: "A pass gives the candidate 50 %.",
  judge: null,
  guardrails: [ERRORS],
  checklist: [],
  drilled: null,
  decisions: [
    { at: 1_790_000_000, actor: "olga", kind: "start", message: "v1.1.0 gets 20 %.", evidence: {} },
  ],
};

export const HISTORY: RolloutHistory = {
  rollout_id: "ro_1",
  agent: "docs",
  started_at: 1_790_000_000,
  ended_at: null,
  decisions: ROLLOUT.decisions,
  points: [0, 1, 2].map((i) => ({
    at: 1_790_000_000 + 600 * i,
    requests: 100 * i,
    asked_pct: 20,
    realised_pct: i === 0 ? null : 21,
    verdict: "inconclusive",
    guardrails: [{ ...ERRORS, e_value: 1 + i }],
  })),
};

export const STATE: RolloutState = {
  id: "ro_1",
  agent: "docs",
  strategy: "canary",
  policy: {} as RolloutState["policy"],
  arms: [
    { name: "stable", model: "acme/docs", version: "v1.0.0", weight: 80, mirror: 0 },
    { name: "candidate", model: "acme/docs-v2", version: "v1.1.0", weight: 20, mirror: 0 },
  ],
  started_at: 1_790_000_000,
  step_started_at: 1_790_000_000,
  phase: "running",
  serving: "stable",
  step: 0,
  judge: null,
  approval_id: null,
  ended_at: null,
  reason: "",
};

export const APPROVAL: ShownApproval = {
  id: "ap_1",
  use_case: "promote_canary",
  request: { dry_run: false, agent: "docs", percent: 50, version: null },
  request_hash: "0".repeat(64),
  summary: "v1.1.0 goes from 20 % to 50 % of docs' traffic.",
  details: { steps: [20, 50, 100] },
  price_ceiling_usd: 12.5,
  requester: "olga",
  editors: [],
  status: "pending",
  created_at: 1_790_000_000,
  expires_at: 4_000_000_000,
  approver: null,
  reason: "",
  answered_at: null,
  consumed_at: null,
  tool_call: null,
  edited_from: null,
  replaced_by: null,
  may_answer: true,
  refusal: null,
};

export const SIMULATED: CanarySimulated = {
  rollback_rate: 0.04,
  promotion_rate: 0.7,
  undecided_rate: 0.26,
  median_candidate_requests: 80,
  p90_candidate_requests: 461,
  expected_requests: 2642,
  expected_errors: 530.3,
  sprt_median: null,
  wald_requests: null,
  expected_days: null,
  plot_svg: null,
  curves: {
    requests: [0, 100, 200],
    rolled_back: [0, 0.02, 0.04],
    promoted: [0, 0.3, 0.7],
    rolled_back_knowing: null,
    threshold: 20,
    paths: [{ requests: [1, 2], evidence: [1.2, 0.9], rolls_back: false }],
  },
};
