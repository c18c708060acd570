"""Every strategy with a real router and upstreams over HTTP, from the deployment to its end.

What a model knows is planted: the n-th task of a hundred is answered rightly when n is below the
model's rate. The timer ticks after each round of tasks, on a clock that the test moves.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.openai_server import OpenAIServer, Reply
from tests.modelops.world import AGENT, STABLE_MODEL, World
from tests.serving.harness import PATIENT, ask, settled, upstream

from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import PromoteCanary
from agent_orchestrator.domain.outcomes import Feedback, Outcome
from agent_orchestrator.domain.routing import CANDIDATE, RoutingTable
from agent_orchestrator.serving.router import OutOfTimeError, Routed, Router

JUDGE_MODEL = "acme/judge"
ONE, TWO = "acme/one", "acme/two"
RIGHT, WRONG = "right", "wrong"


@dataclass
class Recorder:
    """Writes to the world's store at once."""

    world: World

    def record(self, outcome: Outcome) -> None:
        """Keep an outcome."""
        self.world.outcomes.append_many([outcome])

    def record_feedback(self, feedback: Feedback) -> None:
        """Keep a judgement."""
        self.world.outcomes.add_feedback(feedback)


@dataclass
class Tables:
    """models.yaml as it is now."""

    world: World

    @property
    def current(self) -> RoutingTable:
        """Read it."""
        return self.world.yaml.read()


@dataclass
class Scene:
    """A team whose tasks go to planted models."""

    world: World
    router: Router
    server: OpenAIServer
    rates: dict[str, int] = field(default_factory=dict)
    """Model → how many tasks of a hundred it answers rightly, 100 when left out."""
    failing: set[str] = field(default_factory=set)
    """Models whose server is out of order."""
    sent: int = 0

    def answer(self, body: Mapping[str, Any]) -> Reply:
        """Answer as planted; the judge prefers what is right."""
        model, text = body["model"], body["messages"][-1]["content"]
        if model == JUDGE_MODEL:
            pair = json.loads(text)
            first, second = (pair[key][0]["content"] == RIGHT for key in ("first", "second"))
            better = "tie" if first == second else "first" if first else "second"
            return Reply(json.dumps({"better": better}))
        if model in self.failing:
            return Reply("out of order", status=500)
        return Reply(RIGHT if int(text) % 100 < self.rates.get(model, 100) else WRONG)

    async def task(self) -> Routed:
        """Send one request and judge its answer."""
        self.sent += 1
        number = str(self.sent * 37)  # all residues, spread
        body = ask(messages=[{"role": "user", "content": number}])
        routed = await self.router.complete(
            AGENT, body, task_id=f"task-{self.sent}", request_id=f"request-{self.sent}"
        )
        score = float(routed.completion.text == RIGHT)
        at = self.world.clock()
        self.world.outcomes.add_feedback(Feedback(routed.served.request_id, score, "tests", at))
        return routed

    async def round(self, tasks: int = 50) -> Counter[str]:
        """Send tasks, wait for what they leave behind, and let the timer look; count the models."""
        answered = [(await self.task()).completion.model for _ in range(tasks)]
        await settled(lambda: not self.router._background.running)
        self.world.clock.pass_by(11.0)
        self.world.timer.tick()
        self.world.check_agreement()
        return Counter(answered)

    async def until_over(self, rounds: int = 20) -> Counter[str]:
        """Go on until the rollout is promoted or rolled back; return what answered meanwhile."""
        answered: Counter[str] = Counter()
        for _ in range(rounds):
            answered += await self.round()
            if self.phase != "running":
                return answered
        raise AssertionError(self.world.monitor.verdict(self.state, self.world.clock()).reason)

    @property
    def state(self) -> Any:
        """The rollout."""
        return self.world.state()

    @property
    def phase(self) -> str:
        """Where it stands."""
        return str(self.state.phase)


@asynccontextmanager
async def scene(world: World) -> AsyncIterator[Scene]:
    """List all models on one server, and route to it."""
    async with OpenAIServer() as server, upstream() as models:
        listed = "".join(
            f'  {model}: {{provider: self_hosted, endpoints: ["{server.url}"]}}\n'
            for model in (STABLE_MODEL, ONE, TWO, JUDGE_MODEL)
        )
        world.edit("\nmodels:\n", f"\nmodels:\n{listed}")
        router = Router(Tables(world), models, Recorder(world), breaker=PATIENT, clock=world.clock)
        async with router:
            made = Scene(world, router, server)
            server.answer_with(made.answer)
            yield made


async def test_a_canary_goes_step_by_step_to_the_end(world: World) -> None:
    """20, 50, 100 percent; then the guard period, then it is the agent's model."""
    async with scene(world) as team:
        await world.deploy(policy={"margin": 0.2})
        await team.until_over()
        steps = [d.message for d in world.rollouts.decisions(team.state.id) if d.kind == "step"]
        assert steps[0].startswith("Step to 50 % for candidate.")
        assert await team.round() == {ONE: 50}
        assert team.phase == "promoted"
        assert world.yaml.read().agent_models[AGENT] == ONE


async def test_an_immediate_deployment_has_all_traffic_until_a_person_takes_it_back(
    world: World,
) -> None:
    """The old model stays warm: it serves again with the next request."""
    async with scene(world) as team:
        await world.deploy(strategy="immediate", policy={"guard_seconds": 500})
        assert await team.round(20) == {ONE: 20}
        assert team.phase == "guard"
        await world.roll_back()
        assert await team.round(20) == {STABLE_MODEL: 20}


async def test_a_canary_that_goes_bad_after_its_promotion_comes_back(world: World) -> None:
    """Against what the old model was before, though it has no traffic to compare with any more."""
    async with scene(world) as team:
        await world.deploy(strategy="canary_50pct", policy={"margin": 0.2, "guard_seconds": 500})
        await team.until_over()
        assert team.phase == "guard"
        team.failing = {ONE}
        assert set(await team.round()) == {STABLE_MODEL}  # failed over: nobody noticed
        assert team.phase == "rolled_back"
        assert team.state.reason.startswith("error:")


async def test_blue_green_switches_once_and_comes_back_at_once(world: World) -> None:
    """Warmed by copies that nobody sees; after the switch a failure is one switch back."""
    policy = {"mirror": 100, "margin": 0.2, "guard_seconds": 500}
    async with scene(world) as team:
        deployed = await world.deploy(strategy="blue_green", policy=policy)
        assert deployed.rollout_pct == 0
        assert world.registry.get_version(AGENT, "v1.0.0").deployment_status == "shadow"
        assert set(await team.until_over()) == {STABLE_MODEL}
        assert await team.round() == {ONE: 50}
        assert [arm.weight for arm in world.yaml.read().arms(AGENT)] == [0, 100]
        team.failing = {ONE}
        await team.round()
        assert team.phase == "rolled_back"
        asked = len(team.server.requests)
        assert await team.round() == {STABLE_MODEL: 50}
        assert {seen.body["model"] for seen in team.server.requests[asked:]} == {STABLE_MODEL}
        kinds = [decision.kind for decision in world.rollouts.decisions(team.state.id)]
        assert kinds == ["start", "promote", "rollback"]


async def test_a_shadow_that_is_judged_worse_is_never_promoted(world: World) -> None:
    """The judge compares pair by pair; the answers of the shadow reach nobody."""
    async with scene(world) as team:
        team.rates = {ONE: 40}
        await world.deploy(strategy="shadow", judge=JUDGE_MODEL)
        assert set(await team.until_over()) == {STABLE_MODEL}
        assert team.phase == "rolled_back"
        assert team.state.reason.startswith("preference: 0.000 of")
        assert "decisive pairs were won by the candidate" in team.state.reason
        assert world.yaml.read().agent_models[AGENT] == STABLE_MODEL
        assert world.registry.get_version(AGENT, "v1.0.0").deployment_status == "archived"


async def test_a_shadow_that_passes_waits_for_a_person(world: World) -> None:
    """It says so, once; the promotion gives it the first step of a canary."""
    async with scene(world) as team:
        policy = {"look_every": 50, "margin": 0.2}
        await world.deploy(strategy="shadow", judge=JUDGE_MODEL, policy=policy)
        for _ in range(4):
            assert set(await team.round()) == {STABLE_MODEL}
        assert (team.phase, team.state.weight) == ("running", 0)
        report = world.reports.report(AGENT)
        assert report.verdict == "pass"
        (alert,) = world.alerts
        assert "has passed. A pass moves no traffic" in alert
        assert (await world.promote()).weight == 20
        assert (await team.round())[ONE] > 0


async def test_an_ab_test_ends_by_significance(world: World) -> None:
    """Better on the goal, not worse otherwise: promoted, with the p-value in the decision."""
    policy = {"guardrails": ["error", "quality"], "margin": 0.2}
    async with scene(world) as team:
        team.rates = {STABLE_MODEL: 40, ONE: 95}
        await world.deploy(strategy="ab", policy=policy)
        answered = await team.until_over()
        assert min(answered[ONE], answered[STABLE_MODEL]) > 10
        assert team.phase == "guard"
        promoted = world.rollouts.decisions(team.state.id)[-1]
        assert "Better on quality: evidence" in promoted.message
        assert "(p = " in promoted.message
        assert await team.round() == {ONE: 50}


async def test_an_ab_test_that_is_lost_ends_by_significance_too(world: World) -> None:
    """The stable arm keeps serving."""
    async with scene(world) as team:
        team.rates = {STABLE_MODEL: 95, ONE: 40}
        policy = {"guardrails": ["error", "quality"]}
        await world.deploy(strategy="ab", policy=policy)
        await team.until_over()
        assert team.phase == "rolled_back"
        assert team.state.reason.startswith("quality: ")
        assert await team.round() == {STABLE_MODEL: 50}


async def test_a_challenger_wins(world: World) -> None:
    """The worse one is out and its tasks go to the others, the better one takes over."""
    policy = {"guardrails": ["error", "quality"], "margin": 0.2}
    async with scene(world) as team:
        team.rates = {STABLE_MODEL: 60, ONE: 5, TWO: 98}
        await world.deploy(strategy="champion_challenger", challengers=["v1.1.0"], policy=policy)
        statuses = [world.registry.get_version(AGENT, v).deployment_status for v in ("v1.0.0",)]
        assert statuses == ["challenger"]
        assert set(await team.round()) == {STABLE_MODEL, ONE, TWO}
        await team.until_over()
        assert team.phase == "guard"
        decisions = world.rollouts.decisions(team.state.id)
        assert [d.kind for d in decisions] == ["start", "step", "promote"]
        assert "challenger_1 is out. quality: " in decisions[1].message
        assert world.yaml.read().agent_models[AGENT] == TWO
        assert world.registry.get_version(AGENT, "v1.1.0").deployment_status == "deployed"
        assert world.registry.get_version(AGENT, "v1.0.0").deployment_status == "archived"
        assert await team.round() == {TWO: 50}


async def test_an_ensemble_outvotes_a_bad_member_and_drops_a_failing_one(world: World) -> None:
    """Two against one; a person ends it with the member of their choice."""
    async with scene(world) as team:
        team.rates = {ONE: 0}
        await world.deploy(strategy="ensemble", challengers=["v1.1.0"], policy={"margin": 0.2})
        for _ in range(20):
            assert (await team.task()).completion.text == RIGHT
        team.failing = {ONE}
        for _ in range(5):
            await team.round()
            if len(team.state.racing) == 1:
                break
        assert [arm.name for arm in team.state.racing] == ["member_2"]
        step = world.rollouts.decisions(team.state.id)[-1]
        assert "member_1 is out. error: " in step.message
        assert [arm.weight for arm in world.yaml.read().arms(AGENT)] == [51, 0, 49]
        report = await world.do("promote_canary", PromoteCanary(agent=AGENT, version="v1.1.0"))
        assert report.phase == "guard"
        assert await team.round() == {TWO: 50}


async def test_a_canary_that_hangs_until_its_clients_leave_is_rolled_back(world: World) -> None:
    """No answer and no error ever came from it; the time that clients waited is the evidence."""
    limit, patience = 0.1, 0.15
    async with scene(world) as team:
        policy = {"latency_limit_s": limit, "guardrails": ["error", "latency"]}
        await world.deploy(strategy="canary_50pct", policy=policy)
        team.server.answer_with(
            lambda body: Reply(latency=60.0) if body["model"] == ONE else team.answer(body)
        )
        for number in range(100):
            with suppress(OutOfTimeError):
                await team.router.complete(
                    AGENT,
                    ask(messages=[{"role": "user", "content": "1"}]),
                    task_id=f"task-{number}",
                    request_id=f"request-{number}",
                    timeout=patience,
                )
            if number % 20 == 19:
                world.clock.pass_by(11.0)
                world.timer.tick()
                world.check_agreement()
        assert team.phase == "rolled_back"
        assert team.state.reason.startswith("latency: 0.000 of ")
        assert "candidate answers were good" in team.state.reason
        (candidate,) = (a for a in world.reports.report(AGENT).arms if a.arm == CANDIDATE)
        assert (candidate.errors, candidate.latency_ms) == (0, None)
        assert candidate.requests > 5
