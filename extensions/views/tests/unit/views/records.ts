/** Answers of the server, whole, for tests to vary. */

import type {
  DifferingExample,
  EvaluationResult,
  GivenAnswer,
  JobReport,
  ModelVersion,
} from "@codechef/client";

export const REPORT: JobReport = {
  job_id: "job_1",
  kind: "training",
  agent: "docs",
  status: "running",
  message: "training",
  progress_pct: 40,
  current_step: 40,
  total_steps: 100,
  current_loss: 1.25,
  learning_rate: 2e-5,
  eta_minutes: 12,
  hub_repo: null,
  version: null,
  tensorboard_url: null,
  estimated_cost_usd: 3.5,
  requester: "ada",
  backend: "local",
  started_at: 1_790_000_000,
  finished_at: null,
  offline: false,
  actual_cost_usd: null,
  error: null,
  notes: [],
  evaluation: null,
  experiment: null,
  conversion: null,
  trials: [],
};

export const EVALUATION: EvaluationResult = {
  agent: "docs",
  candidate: "v1.1.0",
  baseline: "v1.0.0",
  scores: {},
  improvement_pct: 12.5,
  changes: [
    {
      metric: "accuracy",
      baseline: 0.8,
      candidate: 0.9,
      change_pct: 12.5,
      difference: 0.1,
      interval: [0.02, 0.18],
      supported: true,
      weight: 30,
    },
    {
      metric: "token_efficiency",
      baseline: 0.7,
      candidate: 0.71,
      change_pct: 1.4,
      difference: 0.01,
      interval: [-0.05, 0.07],
      supported: false,
      weight: 0,
    },
  ],
  expenses: [],
  recommendation: "deploy_canary",
  reasons: ["12.5 % better in the weighted mean."],
  n_examples: 120,
  repetitions: 1,
  failed_calls: { candidate: 2 },
  cached_calls: {},
  examples_needed: 340,
  experiment_url: null,
  upload_error: null,
  reports: {},
};

const ANSWER: GivenAnswer = {
  answer: "",
  error: null,
  scores: { accuracy: 1 },
  latency_s: 0.25,
  prompt_tokens: 10,
  completion_tokens: 20,
  cost_usd: null,
  cached: false,
};

export function example(id: string, baseline: string, candidate: string): DifferingExample {
  return {
    example_id: id,
    repetition: 0,
    kind: "won",
    category: "",
    task: `Task of ${id}`,
    expected: "",
    baseline: { ...ANSWER, answer: baseline },
    candidate: { ...ANSWER, answer: candidate },
  };
}

export function version(name: string, parent: string | null, trainedAt: string): ModelVersion {
  return {
    version: name,
    content_id: name,
    model_id: `acme/${name}`,
    training_config: null,
    parent_version: parent,
    trained_at: trainedAt,
    trained_by: null,
    job_id: null,
    hub_repo: null,
    dataset_hash: null,
    weights_sha256: null,
    quantization: null,
    eval_scores: null,
    deployment_status: "not_deployed",
    deployed_at: null,
    tags: [],
    changelog: "",
    notes: "",
  };
}
