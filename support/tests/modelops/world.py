"""The use cases over real stores in one folder, with a clock and a candidate of one's own.

Making a second ``World`` of a folder is a restart. A ``Tripwire`` makes the stores die or fail
before or after any of their effects.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from tests.modelops.tripwire import Tripwire, wired

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Authorisation, Caller
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.coordinator import Coordinator
from agent_orchestrator.agents.infrastructure.modelops.datasets.building import DatasetBuilding
from agent_orchestrator.agents.infrastructure.modelops.datasets.exports import DatasetExports
from agent_orchestrator.agents.infrastructure.modelops.datasets.profile import estimated_tokens
from agent_orchestrator.agents.infrastructure.modelops.datasets.reports import (
    DatasetReports,
    Measure,
    Reading,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.opening import Sources
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.gate.candidate_server import CandidateServer
from agent_orchestrator.agents.infrastructure.modelops.inventory import Inventory
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.agents.infrastructure.modelops.rollouts.breakers import BreakerResets
from agent_orchestrator.agents.infrastructure.modelops.rollouts.deployment import Deployment
from agent_orchestrator.agents.infrastructure.modelops.rollouts.desired import desired
from agent_orchestrator.agents.infrastructure.modelops.rollouts.drills import DrillLimits, Drills
from agent_orchestrator.agents.infrastructure.modelops.rollouts.hand_edits import HandEdits
from agent_orchestrator.agents.infrastructure.modelops.rollouts.monitoring import (
    RolloutMonitor,
    RolloutReports,
)
from agent_orchestrator.agents.infrastructure.modelops.rollouts.promotion import Promotions
from agent_orchestrator.agents.infrastructure.modelops.rollouts.rollback import Rollbacks
from agent_orchestrator.agents.infrastructure.modelops.rollouts.timer import RolloutTimer
from agent_orchestrator.agents.infrastructure.modelops.rollouts.transitions import Transitions
from agent_orchestrator.agents.infrastructure.modelops.simulation.canaries import simulate
from agent_orchestrator.agents.infrastructure.modelops.targets.as_listed import AsListed
from agent_orchestrator.agents.infrastructure.modelops.targets.endpoint_control import (
    EndpointControl,
)
from agent_orchestrator.agents.infrastructure.modelops.targets.inference_endpoints import (
    InferenceEndpoints,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Request, Result
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    DeployModelToAgent,
    PromoteCanary,
    RollbackDeployment,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import (
    TrainingStarted,
    TrainSubagentModel,
)
from agent_orchestrator.domain.intents import UseCase
from agent_orchestrator.domain.outcomes import Feedback, Outcome
from agent_orchestrator.domain.rollout import RolloutPolicy, RolloutState
from agent_orchestrator.domain.routing import Endpoint, Provider, choose_arm
from agent_orchestrator.errors import ApprovalRequired, ChefError, NotAvailable
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.stores import defaults
from agent_orchestrator.stores.approvals import ApprovalStore
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.health import HealthBoard
from agent_orchestrator.stores.journal import IntentJournal
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.stores.rollouts import RolloutStore
from agent_orchestrator.stores.serving import ServingBoard

AGENT = "feature_dev"
STABLE_MODEL = "acme/stable"
PROVIDERS: tuple[Provider, ...] = ("openrouter", "huggingface", "self_hosted", "local")
ADA = Caller("ada", "cli", "operator")
BOB = Caller("bob", "http", "approver")
MODELS_YAML = """\
# who serves whom

openrouter:
  agent_models:
    feature_dev: acme/stable        # people's comment
    cicd: acme/builder
models:
  acme/elsewhere: {provider: self_hosted, endpoints: ["http://127.0.0.1:9/v1"]}
fallbacks:
  default: [acme/spare]
"""
POLICY = """\
steps: [20, 50, 100]
guardrails: [error]
margin: 0.1
looks: 5
look_every: 20
min_step_seconds: 10
max_step_seconds: 1000
guard_seconds: 10
stale_after_seconds: 60
drill: false
"""


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pass_by(self, seconds: float) -> float:
        """Let time pass; return the new time."""
        self.now += seconds
        return self.now


@dataclass(frozen=True)
class Said:
    """An answer of the candidate."""

    text: str = "def add(a, b): return a + b"
    valid_output: bool = True


@dataclass
class Candidate:
    """What the gate meets: ``says`` returns an answer or raises. A ``CandidateServer``.

    It refuses what it should: a malformed message, a prompt that is too long, another model.
    """

    says: Callable[[str], Said] = lambda _prompt: Said()
    opened: list[Endpoint] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None
    """Called while the gate is open: what others do during the smoke test."""
    oversized_tokens: int | None = 1000

    @asynccontextmanager
    async def open(
        self, endpoint: Endpoint, context_tokens: int | None = None
    ) -> AsyncIterator[CandidateServer]:
        """Be what ``Deployment`` opens."""
        self.opened.append(endpoint)
        yield self
        self.meanwhile()

    async def ask(self, body: Mapping[str, Any]) -> Said:
        """Answer as told."""
        prompt = body["messages"][-1]["content"]
        if not isinstance(prompt, str) or len(prompt) > 1000:
            raise refused(400)
        self.prompts.append(prompt)
        return self.says(prompt)

    async def ask_other(self, model: str, body: Mapping[str, Any]) -> Said:
        """Have no other model."""
        raise refused(404)

    async def ask_nobody(self, body: Mapping[str, Any]) -> Said:
        """Be out of reach."""
        raise UpstreamFailure("It cannot be reached.", kind="connection")


def refused(status: int) -> UpstreamFailure:
    """Return what an upstream's refusal is."""
    return UpstreamFailure(f"It answered with status {status}.", kind="status", status=status)


class World:
    """Everything of one installation, composed as ``wiring.embedded`` does."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        candidate: Candidate | None = None,
        tripwire: Tripwire | None = None,
        requester_may_approve: bool = False,
        database_url: str | None = None,
    ) -> None:
        self.folder = folder
        self.database = Database(database_url or f"sqlite:///{folder / 'state' / 'state.db'}")
        self.clock = clock or Clock()
        self.candidate = candidate or Candidate()
        self.alerts: list[str] = []
        self.processes: list[str] = []
        """Those that serve."""
        self.endpoints: InferenceEndpoints | None = None
        self.price = 15.0
        self.trained: list[TrainSubagentModel] = []
        self.training_fails: ChefError | None = None
        self.tripwire = tripwire or Tripwire()
        self._write_configuration()
        self._open_stores(self.tripwire)
        self._compose_transitions()
        self._compose_watching()
        self._compose_deployment()
        self.coordinator = self._coordinator(requester_may_approve)

    def _write_configuration(self) -> None:
        path = self.folder / "config" / "agents" / "models.yaml"
        if not path.exists():
            path.parent.mkdir(parents=True)
            path.write_text(MODELS_YAML)
            policy = self.folder / "config" / "modelops" / "rollout_defaults.yaml"
            policy.parent.mkdir()
            policy.write_text(POLICY)

    def _open_stores(self, tripwire: Tripwire) -> None:
        config, state = self.folder / "config", self.folder / "state"
        yaml = ModelsYaml(config / "agents" / "models.yaml")
        registry = ModelRegistry(config / "models" / "registry.json", clock=self.clock)
        self.yaml = wired(yaml, tripwire, "update")
        self.registry = wired(registry, tripwire, "set_serving")
        self.audit = wired(AuditLog(self.database), tripwire, "append")
        self.journal = wired(IntentJournal(self.database), tripwire, "write", "complete")
        self.rollouts = wired(RolloutStore(self.database), tripwire, "save", "append_decision")
        self.approvals = ApprovalStore(self.database)
        self.outcomes = OutcomeStore(self.database)
        self.health = HealthBoard(self.database)
        self.serving = ServingBoard(self.database)
        self.datasets = DatasetStore(state / "datasets")
        self.catalogue = Catalogue(self.yaml, self.registry, state / "artifacts")

    def _compose_transitions(self) -> None:
        self.transitions = Transitions(
            models_yaml=self.yaml,
            registry=self.registry,
            rollouts=self.rollouts,
            journal=self.journal,
            audit=self.audit,
            position=self.outcomes.position,
            lock=lambda timeout: self.database.exclusive("deployment", timeout),
            clock=self.clock,
        )
        self.drills = Drills(
            models_yaml=self.yaml,
            transitions=self.transitions,
            rollouts=self.rollouts,
            board=self.serving,
            audit=self.audit,
            processes=lambda: self.processes,
            limits=DrillLimits(in_effect=60.0, last_answer=60.0),
            clock=self.clock,
        )
        self.hand_edits = HandEdits(
            self.yaml, self.transitions, self.alerts.append, clock=self.clock
        )

    def _compose_watching(self) -> None:
        self.monitor = RolloutMonitor(self.outcomes, self.rollouts)
        self.reports = RolloutReports(
            self.monitor,
            self.rollouts,
            self.outcomes,
            self.health,
            self.catalogue,
            clock=self.clock,
        )
        self.timer = RolloutTimer(
            monitor=self.monitor,
            rollouts=self.rollouts,
            transitions=self.transitions,
            hand_edits=self.hand_edits,
            models_yaml=self.yaml,
            alert=self.alerts.append,
            clock=self.clock,
        )

    def _compose_deployment(self) -> None:
        self.deployment = Deployment(
            catalogue=self.catalogue,
            rollouts=self.rollouts,
            transitions=self.transitions,
            targets=dict.fromkeys(PROVIDERS, AsListed()),
            drills=self.drills,
            open_gate=self.candidate.open,
            load_policy=self.policy,
            sample_prompts=lambda _agent: ["Add two numbers.", "Name the defect."],
            evaluation_max_age_hours=168,
            gateway_url="http://127.0.0.1:8130/v1",
            clock=self.clock,
        )
        self.promotions = Promotions(
            catalogue=self.catalogue,
            rollouts=self.rollouts,
            transitions=self.transitions,
            hand_edits=self.hand_edits,
            report=self.reports.report,
            clock=self.clock,
        )
        self.rollbacks = Rollbacks(
            catalogue=self.catalogue,
            registry=self.registry,
            rollouts=self.rollouts,
            transitions=self.transitions,
            drills=self.drills,
            clock=self.clock,
        )

    def _coordinator(self, requester_may_approve: bool) -> Coordinator:
        inventory = Inventory(self.catalogue, self.registry)
        resets = BreakerResets(self.catalogue, self.health, self.audit, clock=self.clock)
        reading = Reading(
            self.catalogue, Sources(), lambda *_: Measure(estimated_tokens("no model"), 8192)
        )
        building = DatasetBuilding(reading, self.datasets, self.audit, clock=self.clock)
        data = DatasetReports(reading, self.datasets, self.folder / "reports")
        endpoints = EndpointControl(lambda: self.endpoints, self.yaml, self.audit, clock=self.clock)
        return Coordinator(
            readers={
                "monitor_training_job": lambda _request: Result(),
                "rollout_status": lambda request: self.reports.report(request.agent),
                "simulate_canary": lambda request: simulate(request, self.policy({})),
                "list_agent_models": inventory.list_models,
                "list_costs": lambda _request: Result(),
                "check_dataset": data.check,
                "show_dataset": data.show,
                "list_datasets": data.list,
                "list_endpoints": endpoints.list,
                "endpoint_status": endpoints.status,
                "space_status": lambda _request: Result(),
                "score_runs": lambda _request: Result(),
            },
            planners={
                "build_dataset": building.plan,
                "export_dataset": DatasetExports(self.datasets).plan,
                "train_subagent_model": self._plan_training,
                "search_hyperparameters": _not_here,
                "cancel_training_job": _not_here,
                "resume_training_job": _not_here,
                "evaluate_model_vs_baseline": _not_here,
                "deploy_model_to_agent": self.deployment.plan_deploy,
                "promote_canary": self.promotions.plan,
                "rollback_deployment": self.rollbacks.plan,
                "reset_breaker": resets.plan,
                "convert_model_to_gguf": _not_here,
                "wake_endpoint": endpoints.plan_wake,
                "sleep_endpoint": endpoints.plan_sleep,
                "deploy_space": _not_here,
                "pause_space": _not_here,
                "restart_space": _not_here,
                "run_experiment": _not_here,
            },
            authorisation=Authorisation(
                self.approvals,
                self.audit,
                approval_above_usd=10.0,
                requester_may_approve=requester_may_approve,
                clock=self.clock,
            ),
        )

    def _plan_training(self, request: TrainSubagentModel, _caller: Caller) -> Plan:
        """Plan a training of a price of one's own, which only writes down that it ran."""

        async def act(approval_id: str | None) -> TrainingStarted:
            if self.training_fails is not None:
                raise self.training_fails
            self.trained.append(request)
            return TrainingStarted(
                job_id="job_1",
                hub_repo="local/x",
                dataset="d",
                base_model="b",
                estimated_cost_usd=self.price,
                estimated_minutes=1.0,
                status_url="job:job_1",
                approval=approval_id or "none needed",
            )

        summary = f"Train for {request.agent}: ${self.price:.2f}."
        return Plan(summary=summary, act=act, cost_usd=self.price)

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    # -- people -----------------------------------------------------------------------------------

    def policy(self, changes: Mapping[str, Any]) -> RolloutPolicy:
        """Return the policy of the configuration with changes."""
        return defaults.load_rollout_policy(self.folder / "config", changes)

    async def run(
        self,
        use_case: UseCase,
        request: Request,
        caller: Caller = ADA,
        *,
        approval_id: str | None = None,
    ) -> Any:
        """Run a use case, as a door does."""
        return await self.coordinator.run(use_case, request, caller, approval_id=approval_id)

    async def ask(self, use_case: UseCase, request: Request, caller: Caller = ADA) -> str:
        """Ask for something that needs an approval, a second later; return the approval's id."""
        self.clock.pass_by(1.0)
        try:
            await self.coordinator.run(use_case, request, caller)
        except ApprovalRequired as needed:
            return needed.approval_id
        raise AssertionError(f"{use_case} ran without an approval.")

    async def approve(self, approval_id: str) -> Result:
        """Let Bob approve, and Ada carry it out."""
        await self.coordinator.answer(approval_id, BOB, approve=True)
        return await self.coordinator.resume(approval_id, ADA)

    async def do(self, use_case: UseCase, request: Request) -> Any:
        """Ask, have it approved, carry it out."""
        return await self.approve(await self.ask(use_case, request))

    async def deploy(self, version: str = "v1.0.0", **fields: Any) -> Any:
        """Deploy a version, approved."""
        request = DeployModelToAgent(agent=AGENT, version=version, **fields)
        return await self.do("deploy_model_to_agent", request)

    async def promote(self, percent: int | None = None) -> Any:
        """Promote the agent's rollout, approved."""
        return await self.do("promote_canary", PromoteCanary(agent=AGENT, percent=percent))

    async def roll_back(self, version: str | None = None) -> Any:
        """Roll the agent back, approved."""
        request = RollbackDeployment(agent=AGENT, version=version)
        return await self.do("rollback_deployment", request)

    async def deploy_for(self, agent: str) -> Any:
        """Register a version of another agent and deploy it, approved."""
        self.registry.add_model_version(agent, model_id=f"acme/{agent}-one")
        request = DeployModelToAgent(agent=agent, override_reason="its first")
        return await self.do("deploy_model_to_agent", request)

    def edit(self, old: str, new: str) -> None:
        """Edit models.yaml by hand."""
        text = self.yaml.path.read_text()
        assert old in text, f"{old!r} is not in:\n{text}"
        self.yaml.path.write_text(text.replace(old, new))

    def add_version(self, model: str, *, recommendation: str | None = "deploy") -> str:
        """Register a version that was evaluated just now."""
        version = self.registry.add_model_version(AGENT, model_id=model).version
        if recommendation is not None:
            scores = {"accuracy": 0.9, "recommendation": recommendation}
            self.registry.update_evaluation_scores(AGENT, version, scores)
        return version

    # -- traffic ----------------------------------------------------------------------------------

    def send(
        self,
        requests: int,
        *,
        good: Mapping[str, float] | None = None,
        seed: int = 0,
        judged: bool = False,
        agent: str = AGENT,
    ) -> None:
        """Send an agent requests, routed as models.yaml says; ``good`` is each arm's rate.

        Those that are not good fail, or with ``judged`` are answered and judged as bad.
        """
        chance = random.Random(seed)  # noqa: S311 - traffic, not secrets
        table = self.yaml.read()
        entry = table.rollouts.get(agent)
        outcomes = []
        judgements = []
        for _ in range(requests):
            task = uuid.UUID(int=chance.getrandbits(128)).hex
            arm = choose_arm(table.arms(agent), task, "not the id: the same in every run")
            right = chance.random() < (good or {}).get(arm.name, 1.0)
            request_id = uuid.UUID(int=chance.getrandbits(128)).hex
            outcome = Outcome(
                request_id=request_id,
                attempt=0,
                at=self.clock(),
                agent=agent,
                task_id=task,
                model=arm.model,
                arm=arm.name,
                version=arm.version,
                rollout_id=entry.id if entry else None,
                latency_ms=20.0,
                error=None if right or judged else "status",
                valid_output=True if right or judged else None,
            )
            outcomes.append(outcome)
            judgements.append(Feedback(request_id, float(right), "tests", self.clock()))
        self.outcomes.append_many(outcomes)
        for judgement in judgements if judged else ():
            self.outcomes.add_feedback(judgement)

    # -- what must hold ---------------------------------------------------------------------------

    def state(self) -> RolloutState | None:
        """Return the agent's newest rollout."""
        return self.rollouts.latest(AGENT)

    def check_agreement(self, agent: str = AGENT) -> None:
        """Registry, models.yaml and the rollouts' table say the same, and nothing is left to do."""
        assert self.journal.pending() == []
        table, record = self.yaml.read(), self.registry.agent(agent)
        state = self.rollouts.latest(agent)
        if state is None:
            assert agent not in table.rollouts
            assert record.canary is None
            return
        want = desired(state)
        assert table.rollouts.get(agent) == want.rollout
        assert table.agent_models[agent] == want.agent_model
        assert (record.current, record.canary) == (want.current, want.canary)
        statuses = {v.version: v.deployment_status for v in record.history}
        for version, status in statuses.items():
            if version == want.canary:
                assert status == f"canary_{want.canary_percent}pct"
            else:
                assert (status == "deployed") == (version == want.current)


def _not_here(_request: Request, _caller: Caller) -> NoReturn:
    raise NotAvailable("This world has no such part.")
