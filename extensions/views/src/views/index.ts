/** Every view: its title, and what shows it. */

import type { View } from "@codechef/client";
import type { ComponentType } from "preact";

import { Approval } from "./approval.js";
import { Approvals } from "./approvals.js";
import { Compare } from "./compare/index.js";
import { Evaluate } from "./evaluate.js";
import { Gguf } from "./gguf.js";
import { Job } from "./job/index.js";
import { Jobs } from "./jobs.js";
import { Overview } from "./overview.js";
import { Registry } from "./registry/index.js";
import { Rollout } from "./rollout/index.js";
import { Rollouts } from "./rollouts.js";
import { Simulator } from "./simulator.js";
import { Train } from "./train/index.js";
import { Versions } from "./versions.js";

export interface Page {
  title: string;
  /** What the navigation calls it; its title when left out. */
  called?: string;
  show: ComponentType;
}

export const PAGES: Record<View, Page> = {
  overview: { title: "Overview", show: Overview },
  rollouts: { title: "Rollouts", show: Rollouts },
  rollout: { title: "Rollout", show: Rollout },
  jobs: { title: "Jobs", show: Jobs },
  job: { title: "Job", show: Job },
  train: { title: "Train a model", show: Train },
  evaluate: { title: "Evaluate a model", show: Evaluate },
  compare: { title: "Comparison of models", show: Compare },
  registry: { title: "Models", show: Registry },
  versions: { title: "What changed between versions", show: Versions },
  gguf: { title: "GGUF files", show: Gguf },
  approvals: { title: "Approvals", show: Approvals },
  approval: { title: "Approval", show: Approval },
  simulator: { title: "Canary simulator", called: "Simulator", show: Simulator },
};
