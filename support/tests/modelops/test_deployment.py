"""Deploying and promoting: what a candidate has to pass, and what stands against it."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.modelops.deployers import run_deployers
from tests.modelops.world import ADA, AGENT, Said, World

from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    Deployed,
    DeployModelToAgent,
    PromoteCanary,
)
from agent_orchestrator.domain.rollout import RolloutPolicy
from agent_orchestrator.domain.strategies.names import parse_strategy
from agent_orchestrator.errors import (
    ChefError,
    ConflictError,
    FailedError,
    GateFailed,
    InputError,
    ModelIdError,
    UnavailableError,
    UnknownAgentError,
    UpstreamError,
    VersionNotFoundError,
)


def request(**fields: object) -> DeployModelToAgent:
    """Return a deployment of v1.0.0 with some fields changed."""
    return DeployModelToAgent(**({"agent": AGENT, "version": "v1.0.0"} | fields))


def snapshot(world: World) -> tuple[bytes, object, list, list]:
    """Return all that a deployment may change."""
    return (
        world.yaml.path.read_bytes(),
        world.registry.read(),
        world.rollouts.of(AGENT),
        world.journal.pending(),
    )


async def test_a_deployment_gives_the_candidate_its_first_step(world: World) -> None:
    """models.yaml, the registry and the rollout say the same; the history begins with a person."""
    result = await world.deploy()
    assert isinstance(result, Deployed)
    assert (result.version, result.model, result.rollout_pct) == ("v1.0.0", "acme/one", 20)
    assert {item.name for item in result.checklist} >= {"evaluation", "loads", "approval"}
    world.check_agreement()
    state = world.state()
    assert (state.id, state.weight, state.phase) == (result.rollout_id, 20, "running")
    assert state.approval_id.startswith("ap_")
    (decision,) = world.rollouts.decisions(state.id)
    assert (decision.actor, decision.kind) == ("ada", "start")
    report = world.reports.report(AGENT)
    assert (report.checklist, report.steps) == (result.checklist, [20, 50, 100])
    assert report.decisions[0].evidence.keys() == {"position", "split"}
    assert decision.evidence["position"] == {"outcome": 0, "feedback": 0}
    assert world.audit.tail(1)[0].action == "start"
    assert world.registry.get_version(AGENT, "v1.0.0").deployment_status == "canary_20pct"
    assert [endpoint.model for endpoint in world.candidate.opened] == ["acme/one"]


async def test_a_deployment_keeps_every_byte_outside_its_lines(world: World) -> None:
    """Comments, quotes and order stay; after a rollback the file is what it was."""
    before = world.yaml.path.read_text()
    await world.deploy()
    during = world.yaml.path.read_text()
    assert during.startswith(before)
    await world.roll_back()
    assert world.yaml.path.read_text() == before


async def test_only_what_goes_step_by_step_is_said_to_have_steps(world: World) -> None:
    """An A/B test has one split until its end, whatever steps the policy names."""
    await world.deploy(strategy="ab", policy={"guardrails": ["error", "quality"]})
    assert world.reports.report(AGENT).steps == []


async def test_an_immediate_deployment_has_a_guard_period(world: World) -> None:
    """All traffic at once, the old arm kept warm."""
    result = await world.deploy(strategy="immediate")
    assert result.rollout_pct == 100
    assert world.state().phase == "guard"
    assert world.yaml.read().agent_models[AGENT] == "acme/one"
    world.check_agreement()


async def test_a_candidate_that_lives_elsewhere_is_listed(world: World) -> None:
    """One file replace says both who serves and where."""
    folder = world.folder / "state" / "artifacts" / "acme" / "one"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    await world.deploy()
    assert world.yaml.read().models["acme/one"].provider == "local"
    world.check_agreement()


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"agent": "nobody"}, UnknownAgentError, "Unknown agent 'nobody'"),
        ({"agent": "../../etc/passwd"}, UnknownAgentError, "Unknown agent"),
        ({"version": "v9.9.9"}, VersionNotFoundError, r"no version 'v9\.9\.9'"),
        ({"version": "../../etc/passwd"}, ModelIdError, "Not a model id"),
        ({"version": None, "model": "../../etc/passwd"}, ModelIdError, "Not a model id"),
        ({"model": "acme/two"}, InputError, r"v1\.0\.0 is acme/one, not 'acme/two'"),
        ({"version": None, "model": "acme/stable"}, ConflictError, "serves feature_dev already"),
        ({"target": "local"}, InputError, "acme/one is no finished model of this machine"),
        ({"endpoint": "http://me:key@host/v1"}, InputError, "URL without credentials"),
        ({"endpoint": "http://h/v1", "target": "openrouter"}, InputError, "A URL goes with"),
        ({"endpoint": "http://h/v1", "api_key_env": "s-cr-t"}, InputError, "variable's name"),
        ({"strategy": "yolo"}, InputError, "Unknown strategy 'yolo'"),
        ({"strategy": "canary_0pct"}, InputError, "Unknown strategy"),
        ({"strategy": "canary_140pct"}, InputError, "Unknown strategy"),
        (
            {"strategy": "shadow", "challengers": ["acme/elsewhere"]},
            InputError,
            "takes one candidate",
        ),
        ({"strategy": "ab"}, InputError, "goal is 'quality'"),
        ({"strategy": "shadow", "judge": "../x"}, ModelIdError, "Not a model id"),
        (
            {"strategy": "ensemble", "challengers": ["v1.0.0"]},
            ConflictError,
            r"v1\.0\.0 \(acme/one\) is named twice",
        ),
        (
            {"strategy": "ensemble", "challengers": ["acme/elsewhere"], "endpoint": "http://h/v1"},
            InputError,
            "is given for several models",
        ),
        ({"policy": {"alpha": 2}}, InputError, "alpha"),
        ({"policy": {"steps": [50, 20]}}, InputError, "steps"),
        ({"policy": {"nonsense": 1}}, InputError, "nonsense"),
        ({"policy": {"margin": float("nan")}}, InputError, "margin"),
        ({"override_reason": "  "}, InputError, "override_reason is blank"),
    ],
)
async def test_a_bad_request_is_refused_before_anybody_is_asked(
    world: World, fields: dict, error: type[ChefError], says: str
) -> None:
    """One clear error with a remedy; no approval, no smoke test, nothing changed."""
    before = snapshot(world)
    with pytest.raises(error, match=says) as caught:
        await world.run("deploy_model_to_agent", request(**fields))
    assert caught.value.remedy
    assert await world.coordinator.pending_approvals() == []
    assert world.candidate.opened == []
    assert snapshot(world) == before


@pytest.mark.parametrize(
    ("recommendation", "hours", "says"),
    [
        ("reject", 0, "Its evaluation says reject"),
        (None, 0, "It has not been evaluated"),
        ("deploy", 169, "Its evaluation is 169 h old; the limit is 168 h"),
    ],
)
async def test_the_evaluation_bars_the_way_unless_overridden(
    world: World, recommendation: str | None, hours: int, says: str
) -> None:
    """Rejected, missing or too old: refused before an approval; a reason lets it through."""
    version = world.add_version("acme/new", recommendation=recommendation)
    world.clock.pass_by(hours * 3600)
    with pytest.raises(GateFailed, match=f"no traffic has moved: evaluation: {says}") as caught:
        await world.run("deploy_model_to_agent", request(version=version))
    assert "override_reason" in caught.value.remedy
    assert await world.coordinator.pending_approvals() == []
    await world.deploy(version, override_reason=" a rehearsal\nof failure ")
    (decision,) = world.rollouts.decisions(world.state().id)
    wanted = f"{says}. Overridden: a rehearsal of failure"
    assert wanted in decision.message
    assert decision.evidence["checklist"][0]["message"] == wanted
    audit = world.audit.tail(1)[0]
    assert audit.action == "start"
    assert wanted in audit.detail["message"]
    world.check_agreement()


async def test_a_needless_override_is_not_recorded_as_one(world: World) -> None:
    """What passes by itself was not overridden."""
    await world.deploy(override_reason="just in case")
    (decision,) = world.rollouts.decisions(world.state().id)
    assert "just in case" not in decision.message
    assert "overrides" not in decision.message


def broken(prompt: str) -> Said:
    """Do not answer."""
    raise UpstreamError("acme/one cannot be reached.")


@pytest.mark.parametrize(
    ("says", "finding"),
    [
        (broken, "loads: acme/one cannot be reached"),
        (lambda _prompt: Said(""), "answers: The answer was empty"),
        (lambda _prompt: Said(valid_output=False), "valid output: 0 of 1 answers were valid"),
    ],
)
async def test_a_failed_smoke_test_changes_nothing(
    world: World, says: Callable[[str], Said], finding: str
) -> None:
    """models.yaml byte for byte, the registry and the rollouts are as before."""
    before = snapshot(world)
    world.candidate.says = says
    with pytest.raises(GateFailed, match=finding):
        await world.deploy()
    assert snapshot(world) == before


async def test_an_override_does_not_skip_the_smoke_test(world: World) -> None:
    """The reason covers the evaluation, never a model that does not answer."""
    version = world.add_version("acme/new", recommendation="reject")
    world.candidate.says = broken
    with pytest.raises(GateFailed, match="loads"):
        await world.deploy(version, override_reason="rehearsal")
    assert world.rollouts.open() == []


async def test_a_server_that_does_not_come_up_is_a_failed_smoke_test(world: World) -> None:
    """The gate cannot even be opened: it has not been passed."""
    before = snapshot(world)

    def no_server() -> None:
        raise UnavailableError("The local model server did not come up.")

    world.candidate.meanwhile = no_server
    with pytest.raises(GateFailed, match="loads: The local model server did not come up"):
        await world.deploy()
    assert snapshot(world) == before


async def test_a_running_rollout_comes_first(world: World) -> None:
    """One at a time for an agent; the other agents do not mind."""
    await world.deploy()
    with pytest.raises(ConflictError, match=r"Rollout ro_.* of feature_dev is running"):
        await world.run("deploy_model_to_agent", request(version="v1.1.0"))
    done = await world.deploy_for("cicd")
    assert done.agent == "cicd"
    world.check_agreement()
    world.check_agreement("cicd")


async def test_of_deployments_that_race_one_wins(world: World) -> None:
    """Four in threads, each with its approval: one rollout, three conflicts."""
    approvals = [
        await world.ask("deploy_model_to_agent", request(version=version))
        for version in ("v1.0.0", "v1.1.0", "v1.0.0", "v1.1.0")
    ]
    results = await asyncio.gather(*map(world.approve, approvals), return_exceptions=True)
    assert sum(isinstance(result, Deployed) for result in results) == 1
    assert sum(isinstance(result, ConflictError) for result in results) == 3
    assert len(world.rollouts.of(AGENT)) == 1
    world.check_agreement()


async def test_of_processes_that_deploy_at_once_one_wins(world: World, tmp_path: Path) -> None:
    """Three processes, one rollout."""
    done = run_deployers("deploy", tmp_path, world.clock(), 3)
    assert sorted(json.loads(done.stdout)) == ["ConflictError", "ConflictError", "done"]
    assert len(world.rollouts.of(AGENT)) == 1
    world.check_agreement()


async def test_what_changed_during_the_smoke_test_is_not_overwritten(world: World) -> None:
    """Somebody gave the agent another model meanwhile: the plan's baseline is gone."""
    world.candidate.meanwhile = lambda: world.edit("acme/stable ", "acme/hotfix ")
    with pytest.raises(ConflictError, match=r"acme/hotfix serves feature_dev by now.* is spent"):
        await world.deploy()
    assert world.yaml.read().agent_models[AGENT] == "acme/hotfix"
    assert world.rollouts.of(AGENT) == []
    world.check_agreement()


@pytest.mark.parametrize(
    ("strategy", "steps"),
    [
        ("immediate", (100,)),
        ("canary", (20, 50, 100)),
        ("canary_5pct", (5, 20, 50, 100)),
        ("canary_20pct", (20, 50, 100)),
        ("canary_60pct", (60, 100)),
        ("canary_100pct", (100,)),
    ],
)
def test_a_strategy_names_its_steps(strategy: str, steps: tuple[int, ...]) -> None:
    """The policy's own, from the share that was asked for."""
    found, policy = parse_strategy(strategy, RolloutPolicy())
    assert policy.steps == steps
    assert found == ("immediate" if strategy == "immediate" else "canary")


# -- promoting ------------------------------------------------------------------------------------


async def test_a_person_promotes_step_by_step(world: World) -> None:
    """To the next step, to a share of one's own, to the end."""
    await world.deploy()
    report = await world.promote()
    assert (report.weight, report.step, report.phase) == (50, 1, "running")
    assert world.registry.get_version(AGENT, "v1.0.0").deployment_status == "canary_50pct"
    world.check_agreement()
    report = await world.promote(75)
    assert (report.weight, report.step) == (75, 1)
    world.check_agreement()
    report = await world.promote()
    assert (report.weight, report.phase) == (100, "guard")
    assert world.registry.agent(AGENT).current == "v1.0.0"
    world.check_agreement()
    kinds = [(decision.actor, decision.kind) for decision in report.decisions]
    assert kinds == [("ada", "start"), ("ada", "promote"), ("ada", "promote"), ("ada", "promote")]
    with pytest.raises(ConflictError, match="already promoted"):
        await world.run("promote_canary", PromoteCanary(agent=AGENT))


async def test_what_cannot_be_promoted(world: World) -> None:
    """No rollout, an unknown agent, a smaller share, a version that is not the candidate's."""
    with pytest.raises(ConflictError, match="No rollout of feature_dev runs"):
        await world.run("promote_canary", PromoteCanary(agent=AGENT))
    with pytest.raises(UnknownAgentError):
        await world.run("promote_canary", PromoteCanary(agent="nobody"))
    await world.deploy()
    for percent in (10, 20):
        with pytest.raises(InputError, match="from 20 to"):
            await world.run("promote_canary", PromoteCanary(agent=AGENT, percent=percent))
    with pytest.raises(ConflictError, match="The candidate of feature_dev is v"):
        await world.run("promote_canary", PromoteCanary(agent=AGENT, version="v9.9.9"))
    assert world.state().weight == 20


async def test_a_promotion_planned_on_another_state_is_refused(world: World) -> None:
    """The timer rolled back while the promotion was on its way."""
    await world.deploy()
    plan = world.promotions.plan(PromoteCanary(agent=AGENT), ADA)
    await world.roll_back()
    with pytest.raises(ConflictError, match="The rollout of feature_dev has moved on"):
        await plan.act("ap_x")
    assert world.state().phase == "rolled_back"
    world.check_agreement()


async def test_a_hand_edit_comes_before_a_promotion(world: World) -> None:
    """The edit is taken over; the promotion was planned without it and is asked for again."""
    await world.deploy()
    world.edit("weight: 80", "weight: 65")
    world.edit("weight: 20", "weight: 35")
    with pytest.raises(ConflictError, match=r"has moved on\. models\.yaml was .* has 35 %"):
        await world.promote()
    assert world.state().weight == 35
    world.check_agreement()
    assert (await world.promote()).weight == 50
    world.check_agreement()


async def test_a_broken_registry_stops_a_promotion_before_it_begins(world: World) -> None:
    """Nobody gets more traffic while the records cannot be kept."""
    await world.deploy()
    before = world.yaml.path.read_bytes()
    registry = world.folder / "config" / "models" / "registry.json"
    whole = registry.read_bytes()
    registry.write_bytes(whole[:200])
    with pytest.raises(ChefError, match=r"torn or not JSON.*chef registry restore"):
        await world.promote()
    assert world.yaml.path.read_bytes() == before
    assert world.journal.pending() == []
    registry.write_bytes(whole)
    await world.promote()
    world.check_agreement()


def test_without_an_approval_nothing_is_carried_out(world: World) -> None:
    """Even past the door, a deployment checks that an approval was spent."""
    plan = world.deployment.plan_deploy(request(), ADA)
    with pytest.raises(FailedError, match="approval: There is none"):
        asyncio.run(plan.act(None))
    assert world.rollouts.open() == []


# -- several candidates ---------------------------------------------------------------------------


async def test_every_candidate_passes_the_gate(world: World) -> None:
    """Each is asked; the checklist says whose points they are, models.yaml names arms and judge."""
    done = await world.deploy(strategy="ensemble", challengers=["v1.1.0"], judge="acme/judge")
    assert [endpoint.model for endpoint in world.candidate.opened] == ["acme/one", "acme/two"]
    names = {item.name for item in done.checklist}
    assert {"acme/one: answers", "acme/two: answers", "acme/two: evaluation"} <= names
    assert [(arm.arm, arm.weight_pct) for arm in done.arms] == [
        ("stable", 34),
        ("member_1", 33),
        ("member_2", 33),
    ]
    entry = world.yaml.read().rollouts[AGENT]
    assert (entry.judge, [arm.model for arm in entry.arms]) == (
        "acme/judge",
        ["acme/stable", "acme/one", "acme/two"],
    )
    statuses = {v.version: v.deployment_status for v in world.registry.agent(AGENT).history}
    assert statuses == {"v1.0.0": "challenger", "v1.1.0": "challenger"}
    served = [(s.version, s.role, s.percent) for s in world.registry.agent(AGENT).served]
    assert served == [("v1.0.0", "challenger", 33), ("v1.1.0", "challenger", 33)]
    await world.roll_back()
    world.check_agreement()
    statuses = {v.version: v.deployment_status for v in world.registry.agent(AGENT).history}
    assert statuses == {"v1.0.0": "archived", "v1.1.0": "archived"}


async def test_a_challenger_whose_evaluation_forbids_it_stops_all(world: World) -> None:
    """Nobody is asked for an approval, and nothing moves."""
    version = world.add_version("acme/three", recommendation="reject")
    before = snapshot(world)
    with pytest.raises(GateFailed, match="evaluation"):
        world.deployment.plan_deploy(request(strategy="ensemble", challengers=[version]), ADA)
    assert snapshot(world) == before


async def test_among_several_a_promotion_names_the_version(world: World) -> None:
    """Without it nobody knows which is meant; one that is no candidate is refused."""
    await world.deploy(strategy="ensemble", challengers=["v1.1.0"])
    with pytest.raises(InputError, match="several candidates"):
        world.promotions.plan(PromoteCanary(agent=AGENT), ADA)
    with pytest.raises(ConflictError, match=r"v1\.0\.0 and v1\.1\.0, not 'v9\.0\.0'"):
        world.promotions.plan(PromoteCanary(agent=AGENT, version="v9.0.0"), ADA)
    plan = world.promotions.plan(PromoteCanary(agent=AGENT, version="v1.1.0"), ADA)
    assert plan.summary == "v1.1.0 goes from 33 % to 100 % of feature_dev's traffic."
