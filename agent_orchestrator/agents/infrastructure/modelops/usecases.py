"""The use cases: one typed request and one typed result each, the same at every door.

``USE_CASES`` is the list that every door (command line, chat, HTTP, MCP) is checked against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.domain.jobs import JobStatus
from agent_orchestrator.domain.models import TrainingMethod, TrainingMode
from agent_orchestrator.domain.routing import Provider
from agent_orchestrator.domain.verdict import Verdict

Percent = Annotated[int, Field(ge=1, le=100)]
Rate = Annotated[float, Field(ge=0, le=1)]


class Request(BaseModel):
    """Base of all requests: frozen, and an unknown field is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, defer_build=True
    )


class ChangingRequest(Request):
    """A request that spends money or changes something; a dry run says what it would do."""

    dry_run: bool = False
    """Only say what would happen."""


class Result(BaseModel):
    """Base of all results."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class PlannedChange(Result):
    """What a dry run answers: nothing has changed."""

    dry_run: Literal[True] = True
    summary: str
    """One line: what would happen."""
    estimated_cost_usd: float = 0.0
    approval_needed: bool = False
    details: dict[str, Any] = {}


class Finding(Result):
    """Something the data set's check found."""

    kind: str
    count: int
    message: str
    suggestion: str
    examples: list[str] = []


class BuildDataset(ChangingRequest):
    """Build a data set for an agent.

    It is validated, split, hashed and checked for leaks.
    """

    agent: str
    source: str = "langsmith"
    """``stdlib-defects``, or the path of a JSONL or CSV file."""
    name: str | None = None
    filters: dict[str, Any] = {}
    """Metadata key → value that an example must have."""
    method: TrainingMethod = "sft"
    seed: int = 0


class DatasetBuilt(Result):
    """A data set on disk."""

    dataset: str
    agent: str
    counts: dict[str, int]
    """Examples per split."""
    dataset_hash: str
    findings: list[Finding]
    path: str


class TrainSubagentModel(ChangingRequest):
    """Fine-tune a model for an agent."""

    agent: str
    dataset: str | None = None
    """Data set id or name; the agent's newest when left out."""
    base_model: str | None = None
    """Model id; the model that serves the agent when it was trained here, else the default."""
    method: TrainingMethod = "sft"
    mode: TrainingMode = "demo"
    max_examples: Annotated[int, Field(ge=2)] | None = None
    """Examples to train on; the mode's number when left out."""
    overrides: dict[str, Any] = {}
    """Hyperparameters that replace the defaults."""
    backend: Literal["local", "hf_space", "hf_jobs"] | None = None
    """Where to train; CHEF_BACKEND when left out."""


class TrainingStarted(Result):
    """A training job."""

    job_id: str
    hub_repo: str
    dataset: str
    base_model: str
    estimated_cost_usd: float
    estimated_minutes: float
    status_url: str
    approval: str
    """``none needed`` or the approval's id."""


class MonitorTrainingJob(Request):
    """Show how a job stands.

    Of any kind, by its id or as the agent's newest.
    """

    job_id: str | None = None
    agent: str | None = None


class CancelTrainingJob(ChangingRequest):
    """Cancel a job.

    Of any kind, by its id or as the agent's newest.
    """

    job_id: str | None = None
    agent: str | None = None


class JobError(Result):
    """A diagnosed failure."""

    kind: str
    message: str
    remedy: str = ""


class MetricResult(Result):
    """One metric, candidate beside baseline."""

    metric: str
    baseline: float | None
    candidate: float | None
    change_pct: float | None
    difference: float | None
    interval: tuple[float, float] | None
    supported: bool | None


class EvaluationResult(Result):
    """What an evaluation found."""

    agent: str
    candidate: str
    baseline: str | None
    scores: dict[str, dict[str, float]]
    """``candidate`` and ``baseline`` → metric → score."""
    improvement_pct: float | None
    changes: list[MetricResult]
    recommendation: Literal["deploy", "deploy_canary", "needs_review", "reject"]
    reasons: list[str]
    n_examples: int
    failed_calls: dict[str, int]
    examples_needed: int | None
    experiment_url: str | None
    reports: dict[str, str]
    """``json``, ``markdown``, ``html`` → path."""


class JobReport(Result):
    """Where a job stands; what is not known is null."""

    job_id: str
    kind: str
    agent: str
    status: JobStatus
    message: str = ""
    progress_pct: float | None = None
    current_step: int | None = None
    total_steps: int | None = None
    current_loss: float | None = None
    learning_rate: float | None = None
    eta_minutes: float | None = None
    hub_repo: str | None = None
    version: str | None = None
    """The registered version of a completed training."""
    tensorboard_url: str | None = None
    estimated_cost_usd: float = 0.0
    actual_cost_usd: float | None = None
    error: JobError | None = None
    evaluation: EvaluationResult | None = None
    """The finding of a completed evaluation."""


class JobCancelled(Result):
    """A job that was asked to stop."""

    job_id: str
    status: JobStatus


class EvaluateModelVsBaseline(ChangingRequest):
    """Compare a candidate with a baseline.

    Both are called on the same held-out examples.
    """

    agent: str
    candidate: str | None = None
    """Version or model id; the agent's newest version when left out."""
    baseline: str | None = None
    """Version or model id; what serves the agent when left out."""
    dataset: str | None = None
    """Data set id or name; the one the candidate was trained with when left out."""
    metrics: list[str] = []
    """Metrics to measure; all that apply when empty."""
    max_examples: Annotated[int, Field(ge=2)] | None = None


class EvaluationStarted(Result):
    """An evaluation job."""

    job_id: str
    agent: str
    candidate: str
    baseline: str | None
    dataset: str
    n_examples: int
    estimated_cost_usd: float
    """At most, by a guess for each call of a model that somebody else runs."""


class DeployModelToAgent(ChangingRequest):
    """Put a model in front of an agent's traffic."""

    agent: str
    version: str | None = None
    """Registry version; the agent's newest when neither this nor ``model`` is given."""
    model: str | None = None
    """Model id of a registered version or of the models catalogue."""
    target: Provider | None = None
    """Where the model lives, or is to live; as models.yaml lists it when left out, a server of your
    own when ``endpoint`` is given, else OpenRouter."""
    endpoint: str | None = None
    """Base URL, up to and including /v1, of a server that serves the model already."""
    api_key_env: str | None = None
    """Name of the environment variable that holds that server's key."""
    strategy: str = "canary"
    """immediate: all traffic at once. canary, canary_<n>pct: step by step. blue_green: kept warm by
    copies of requests, then one switch. shadow: copies only. ab: a fixed split until one is proven
    better. champion_challenger: with several challengers. ensemble: all answer, their votes
    decide."""
    challengers: list[str] = []
    """Further versions or model ids, for champion_challenger and ensemble."""
    judge: str | None = None
    """Model that compares a shadow's answers with those that were served, or picks among an
    ensemble's; without one their text is compared."""
    policy: dict[str, Any] = {}
    """Values that replace those of rollout_defaults.yaml."""
    override_reason: str | None = None
    """Why to deploy although the evaluation says reject, or is missing or too old."""


class ChecklistItem(Result):
    """One point of the checklist before traffic."""

    name: str
    verdict: Verdict
    message: str
    measured: dict[str, float] = {}


class ProcessDrill(Result):
    """How fast one serving process followed. Times are seconds since the command."""

    process: str
    in_effect_s: float | None
    """Until it served by the new table; null when it did not within the limit."""
    last_answer_s: float | None
    """Until the last answer of the old arms; null when none came after the command."""
    under_way: int = 0
    """Answers of the old arms that had not ended at the limit."""


class DrillReport(Result):
    """A rehearsed rollback: how long it would have taken to be effective."""

    verdict: Verdict
    """fail: a process did not follow in time; inconclusive: there was nothing to measure, or
    answers of the old arms were still under way at the limit."""
    message: str
    at: float
    """When the command came, seconds since the epoch."""
    away_s: float = 0.0
    """How long the split was away."""
    processes: list[ProcessDrill] = []


class DeployedArm(Result):
    """One arm of a rollout as it begins."""

    arm: str
    version: str | None
    model: str
    weight_pct: int
    mirror_pct: int = 0


class Deployed(Result):
    """A model in front of traffic."""

    agent: str
    deployed: bool
    version: str | None
    model: str
    rollout_id: str | None
    rollout_pct: int
    """The candidates' share of the traffic, percent."""
    arms: list[DeployedArm] = []
    endpoint_url: str
    checklist: list[ChecklistItem]
    drill: DrillReport | None = None
    """The rehearsed rollback; null when the policy does without."""


class PromoteCanary(ChangingRequest):
    """Give the candidate more traffic."""

    agent: str
    percent: Percent | None = None
    """The policy's next step when left out."""
    version: str | None = None
    """The candidate's version (or model id): needed where there are several, else to be sure."""


class RollbackDeployment(ChangingRequest):
    """Send the traffic back to an earlier version."""

    agent: str
    version: str | None = None
    """A version, or model id, that has served; the one that served before when left out."""
    drill: bool = False
    """Rehearse it: take the running rollout's split away, measure, put it back."""


class RolledBack(Result):
    """Where the traffic went back to; for a drill, where it would go."""

    agent: str
    version: str | None
    model: str
    seconds: float
    """From the command until everything was written and read back."""
    drill: DrillReport | None = None
    """What a drill measured; the split is as it was before."""


class RolloutStatusRequest(Request):
    """Show how an agent's rollout stands."""

    agent: str


class LatencyQuantiles(Result):
    """Exact quantiles, each one that was measured."""

    p50: float
    p95: float
    p99: float


class ArmStatus(Result):
    """One arm of a rollout."""

    arm: str
    version: str | None
    model: str
    asked_pct: int
    mirror_pct: int = 0
    """Share of the tasks that is copied to the arm without using its answer."""
    realised_pct: float | None
    requests: int
    errors: int
    latency_ms: LatencyQuantiles | None = None
    """Of its answers since the present step began; null before the first."""
    health: Literal["closed", "open", "half_open", "unknown"]
    """State of its breaker, the worst of all gateways."""
    condition: Literal["healthy", "unhealthy", "unknown"] = "unknown"
    """Unknown: no gateway had a call within 30 s."""
    recent_calls: int = 0
    recent_failures: int = 0
    trip_reason: str = ""


class GuardrailStatus(Result):
    """One guardrail's evidence."""

    guardrail: str
    verdict: Verdict
    arm: str = "candidate"
    candidate_n: int
    stable_n: int
    candidate_rate: float | None
    stable_rate: float | None
    e_value: float
    threshold: float
    lower_bound: float | None
    look: int
    better_e_value: float | None = None
    """Evidence that the arm is better, where that is asked; its inverse is a p-value."""
    better_threshold: float | None = None
    difference: tuple[float, float] | None = None
    """Interval of candidate − stable that holds at every moment, at level 1 − alpha."""


class DecisionRecord(Result):
    """One entry of a rollout's history."""

    at: float
    actor: str
    kind: str
    message: str
    evidence: dict[str, Any] = {}


class RolloutReport(Result):
    """A rollout with its evidence; ``rollout_id`` is null when the agent never had one."""

    agent: str
    rollout_id: str | None
    strategy: str | None = None
    phase: str | None = None
    step: int | None = None
    steps: list[int] = []
    weight: int | None = None
    reason: str = ""
    arms: list[ArmStatus] = []
    verdict: Verdict | None = None
    verdict_reason: str = ""
    outlook: str = ""
    """What a pass leads to, while it runs."""
    judge: str | None = None
    guardrails: list[GuardrailStatus] = []
    drilled: DrillReport | None = None
    """The last rehearsed rollback."""
    decisions: list[DecisionRecord] = []


class ResetBreaker(ChangingRequest):
    """Close a tripped circuit breaker by hand."""

    agent: str
    arm: str = "candidate"


class BreakerReset(Result):
    """A reset that the serving processes pick up within a second."""

    agent: str
    arm: str
    health: str
    """State that the serving processes last reported: closed, open, half_open or unknown."""


class SimulateCanary(Request):
    """Plan a canary: what a rollout with these rates would do."""

    stable_rate: Rate = 0.80
    """Rate of good requests, 0..1."""
    candidate_rate: Rate = 0.80
    weight: Annotated[int, Field(ge=1, le=99)] = 20
    """Candidate's share in percent."""
    max_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Candidate requests after which a run ends undecided."""
    runs: Annotated[int, Field(ge=1, le=100_000)] = 500
    seed: int = 0
    guardrails: Annotated[int, Field(ge=1, le=8)] = 1
    """Guardrails that share the error budget."""
    rollback_only: bool = False
    """Let no planned look end a run: shows false alarms over all of max_requests."""
    requests_per_day: Annotated[float, Field(gt=0)] | None = None
    """Requests of both arms a day, to tell how many days a run takes."""
    plot: bool = False
    """Draw when the runs end and how their evidence gets there, as SVG."""


class CanarySimulated(Result):
    """What the simulated rollouts did."""

    rollback_rate: float
    promotion_rate: float
    undecided_rate: float
    median_candidate_requests: float | None
    """To rollback, among runs that rolled back."""
    p90_candidate_requests: float | None
    expected_requests: float
    """Mean requests of both arms until the run ended."""
    expected_errors: float
    """Mean bad answers of both arms until the run ended."""
    sprt_median: float | None
    """Median candidate requests of Wald's test, which knows both rates, on the same streams; null
    unless the candidate is worse and half of the runs got there."""
    wald_requests: float | None
    """Wald's approximation of that test's mean; null unless the candidate is worse."""
    expected_days: float | None = None
    """Mean days until a run ended; null without requests_per_day."""
    plot_svg: str | None = None
    """The picture, an SVG document, where it was asked for."""


class ListAgentModels(Request):
    """List an agent's versions."""

    agent: str
    limit: Annotated[int, Field(ge=1)] | None = None
    status: str | None = None


class VersionSummary(Result):
    """One version in a list."""

    version: str
    model_id: str
    status: str
    parent: str | None
    base_model: str | None
    method: str | None
    dataset: str | None
    accuracy: float | None
    improvement_pct: float | None
    recommendation: str | None
    trained_at: str | None
    deployed_at: str | None
    tags: list[str] = []


class AgentModels(Result):
    """An agent's versions, newest first."""

    agent: str
    serving: str
    """Model id of the stable arm in models.yaml."""
    current: str | None
    canary: str | None
    versions: list[VersionSummary]


class ConvertModelToGguf(ChangingRequest):
    """Convert a model to GGUF."""

    agent: str | None = None
    model: str | None = None
    version: str | None = None
    quantization: str = "Q4_K_M"
    output_repo: str | None = None


class ConversionStarted(Result):
    """A conversion job."""

    job_id: str
    output_repo: str
    files: dict[str, int]
    usage: dict[str, str]


class ListEndpoints(Request):
    """List the Inference Endpoints: what runs, what sleeps, what it costs."""


class EndpointStatus(Request):
    """Show how an Inference Endpoint stands."""

    name: str


class WakeEndpoint(ChangingRequest):
    """Bring an Inference Endpoint up; it costs money while it runs."""

    name: str


class SleepEndpoint(ChangingRequest):
    """Scale an Inference Endpoint to zero; it wakes at its next request."""

    name: str


class EndpointReport(Result):
    """An Inference Endpoint."""

    name: str
    model: str
    status: str
    """pending, initializing, updating, running, paused, scaledToZero, failed, updateFailed."""
    url: str | None
    instance: str
    usd_per_hour: float | None
    """While it runs; null for a machine that the service does not list."""
    serves: list[str]
    """Agents whose traffic it gets."""
    message: str = ""


class EndpointList(Result):
    """All Inference Endpoints of a namespace."""

    namespace: str
    endpoints: list[EndpointReport]


@dataclass(frozen=True, slots=True)
class UseCaseSpec:
    """One use case as the doors see it."""

    request: type[Request]
    result: type[Result]
    changes: bool
    """Whether it can change anything."""


USE_CASES: Mapping[UseCaseName, UseCaseSpec] = {
    "build_dataset": UseCaseSpec(BuildDataset, DatasetBuilt, changes=True),
    "train_subagent_model": UseCaseSpec(TrainSubagentModel, TrainingStarted, changes=True),
    "monitor_training_job": UseCaseSpec(MonitorTrainingJob, JobReport, changes=False),
    "cancel_training_job": UseCaseSpec(CancelTrainingJob, JobCancelled, changes=True),
    "evaluate_model_vs_baseline": UseCaseSpec(
        EvaluateModelVsBaseline, EvaluationStarted, changes=True
    ),
    "deploy_model_to_agent": UseCaseSpec(DeployModelToAgent, Deployed, changes=True),
    "promote_canary": UseCaseSpec(PromoteCanary, RolloutReport, changes=True),
    "rollback_deployment": UseCaseSpec(RollbackDeployment, RolledBack, changes=True),
    "rollout_status": UseCaseSpec(RolloutStatusRequest, RolloutReport, changes=False),
    "reset_breaker": UseCaseSpec(ResetBreaker, BreakerReset, changes=True),
    "simulate_canary": UseCaseSpec(SimulateCanary, CanarySimulated, changes=False),
    "list_agent_models": UseCaseSpec(ListAgentModels, AgentModels, changes=False),
    "convert_model_to_gguf": UseCaseSpec(ConvertModelToGguf, ConversionStarted, changes=True),
    "list_endpoints": UseCaseSpec(ListEndpoints, EndpointList, changes=False),
    "endpoint_status": UseCaseSpec(EndpointStatus, EndpointReport, changes=False),
    "wake_endpoint": UseCaseSpec(WakeEndpoint, EndpointReport, changes=True),
    "sleep_endpoint": UseCaseSpec(SleepEndpoint, EndpointReport, changes=True),
}
