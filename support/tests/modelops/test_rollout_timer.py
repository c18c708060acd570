"""The timer: promotion on evidence, rollback at once, and otherwise patience."""

from pathlib import Path

import pytest
from tests.modelops.world import AGENT, STABLE_MODEL, World

from agent_orchestrator.agents.infrastructure.modelops.rollouts.transitions import Decision
from agent_orchestrator.domain import rollout_machine
from agent_orchestrator.errors import ConflictError, StorageError

#: The arms are dealt by the rollout's random id: a small alpha makes a false alarm a rarity.
QUALITY = {
    "guardrails": ["error", "invalid", "quality", "latency"],
    "margin": 0.2,
    "alpha": 0.001,
}


def kinds(world: World) -> list[tuple[str, str]]:
    """Return who did what in the newest rollout."""
    decisions = world.rollouts.decisions(world.state().id)
    return [(decision.actor, decision.kind) for decision in decisions]


async def test_an_equal_candidate_is_promoted_to_the_end(world: World) -> None:
    """20 → 50 → 100 % by the verdicts on its answers; then the guard period, then it is over."""
    await world.deploy(policy=QUALITY)
    seen = [world.state().weight]
    rates = {"stable": 0.95, "candidate": 0.95}
    for second in range(60):
        world.clock.pass_by(5)
        world.send(60, good=rates, seed=second, judged=True)
        world.timer.tick()
        world.check_agreement()
        if world.state().weight != seen[-1]:
            seen.append(world.state().weight)
        if world.state().ended_at is not None:
            break
    assert seen == [20, 50, 100]
    assert world.state().phase == "promoted"
    assert kinds(world) == [
        ("ada", "start"),
        ("timer", "step"),
        ("timer", "promote"),
        ("timer", "finish"),
    ]
    assert world.yaml.read().agent_models[AGENT] == "acme/one"
    assert AGENT not in world.yaml.read().rollouts
    assert world.registry.get_version(AGENT, "v1.0.0").deployment_status == "deployed"
    step = world.rollouts.decisions(world.state().id)[1]
    assert step.evidence["verdict"]["verdict"] == "pass"
    assert "Step to 50 % for candidate." in step.message
    assert world.alerts == []


@pytest.mark.parametrize("promotions", [0, 1])
async def test_a_bad_candidate_is_rolled_back(world: World, promotions: int) -> None:
    """At any step, without waiting for the step's time, the evidence on record."""
    await world.deploy(policy=QUALITY)
    for _ in range(promotions):
        await world.promote()
    rates = {"stable": 0.9, "candidate": 0.3}
    for second in range(40):
        world.clock.pass_by(0.2)
        world.send(20, good=rates, seed=second, judged=True)
        world.timer.tick()
        if world.state().ended_at is not None:
            break
    assert world.state().phase == "rolled_back"
    assert kinds(world)[-1] == ("timer", "rollback")
    last = world.rollouts.decisions(world.state().id)[-1]
    assert last.message.startswith("Rolled back. quality:")
    assert last.evidence["verdict"]["verdict"] == "fail"
    assert world.yaml.read().agent_models[AGENT] == STABLE_MODEL
    assert world.registry.get_version(AGENT, "v1.0.0").deployment_status == "archived"
    world.check_agreement()
    assert world.alerts == []


async def test_a_candidate_that_turns_bad_after_promotion_is_rolled_back(world: World) -> None:
    """In the guard period the old arm's record is the measure."""
    await world.deploy()
    world.send(1500, seed=1)
    await world.promote(100)
    world.send(100, seed=2, good={"candidate": 0.3})
    world.timer.tick()
    assert world.state().phase == "rolled_back"
    assert world.yaml.read().agent_models[AGENT] == STABLE_MODEL
    world.check_agreement()


async def test_nothing_is_promoted_on_silence(world: World) -> None:
    """No traffic: it holds, and is rolled back when the step has had its time."""
    await world.deploy()
    for _ in range(9):
        world.clock.pass_by(100)
        world.timer.tick()
    assert (world.state().phase, world.state().weight) == ("running", 20)
    assert len(kinds(world)) == 1
    world.clock.pass_by(200)
    world.timer.tick()
    assert world.state().phase == "rolled_back"
    assert "No conclusion in time" in world.state().reason
    world.check_agreement()


async def test_stale_evidence_promotes_nobody(world: World) -> None:
    """Good answers of an hour ago are no reason."""
    await world.deploy()
    world.send(1500, seed=1)
    world.clock.pass_by(61)
    world.timer.tick()
    assert world.state().weight == 20


async def test_a_step_takes_its_time(world: World) -> None:
    """A pass after two seconds waits for the ten that the policy asks for."""
    await world.deploy()
    world.send(1500, seed=1)
    world.clock.pass_by(2)
    world.timer.tick()
    assert world.state().weight == 20
    world.clock.pass_by(8)
    world.timer.tick()
    assert world.state().weight == 50
    world.check_agreement()


async def test_a_split_that_is_not_the_one_asked_for_holds(world: World) -> None:
    """When the router deals out other shares, the evidence is not trusted."""
    await world.deploy()
    world.edit("weight: 80", "weight: 40")
    world.edit("weight: 20", "weight: 60")
    world.send(1500, seed=1)
    world.edit("weight: 40", "weight: 80")
    world.edit("weight: 60", "weight: 20")
    world.clock.pass_by(20)
    world.timer.tick()
    assert world.state().weight == 20
    assert "the split is not trusted" in world.reports.report(AGENT).verdict_reason


async def test_what_a_person_did_in_between_stands(world: World) -> None:
    """The verdict is reached outside the lock: inside it, another state means another tick."""
    await world.deploy()
    world.send(1500, seed=1)
    world.clock.pass_by(20)
    stale = world.state()
    await world.roll_back()
    world.timer._judge(stale)
    assert world.state().phase == "rolled_back"
    assert kinds(world)[-1] == ("ada", "rollback")
    world.check_agreement()


async def test_the_timer_finishes_what_was_cut_off(world: World) -> None:
    """Also a deployment that no rollout on record knows of yet; it says so."""
    world.tripwire.arm(2, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        await world.deploy()
    assert world.state() is None
    assert AGENT in world.yaml.read().rollouts
    world.timer.tick()
    assert world.state().weight == 20
    world.check_agreement()
    (alert,) = world.alerts
    assert "(start) had been cut off and is finished now" in alert


async def test_one_agents_trouble_does_not_stop_the_others(world: World, tmp_path: Path) -> None:
    """A rollout that cannot be advanced is an alert, once; the next one is rolled back."""
    await world.deploy()
    world.clock.pass_by(1)
    await world.deploy_for("cicd")
    world.send(300, good={"candidate": 0.1}, agent=AGENT)
    world.send(300, good={"candidate": 0.1}, agent="cicd", seed=9)
    world.tripwire.arm(1, StorageError, where="before", since="ModelsYaml.update")
    world.timer.tick()
    assert world.state().phase == "running"
    assert world.rollouts.latest("cicd").phase == "rolled_back"
    (alert,) = world.alerts
    assert alert.startswith("feature_dev, rollout ro_")
    assert "Its rollback waits" in alert
    world.timer.tick()
    assert world.state().phase == "rolled_back"
    world.check_agreement()
    world.check_agreement("cicd")
    assert len(world.alerts) == 1


async def test_a_held_lock_is_an_alert_and_another_try(world: World, tmp_path: Path) -> None:
    """A deployment that hangs does not end the timer."""
    world.transitions._lock_timeout = 0.05
    await world.deploy()
    world.send(300, good={"candidate": 0.1})
    with world.database.exclusive("deployment", 0):
        world.timer.tick()
    assert world.state().phase == "running"
    assert "has held the lock" in world.alerts[0]
    world.timer.tick()
    assert world.state().phase == "rolled_back"


async def test_a_promotion_does_not_overwrite_another_model(world: World) -> None:
    """Between hand edit and lock: the step is refused, the edit is settled by the next tick."""
    await world.deploy()
    state = world.state()
    text = world.yaml.path.read_text()
    world.yaml.path.write_text(text[: text.index("rollouts:")])
    world.edit(f"feature_dev: {STABLE_MODEL}", "feature_dev: acme/hotfix")
    after, _ = rollout_machine.promote(state, None, world.clock())
    decision = Decision(actor="timer", kind="step", message="on")
    with (
        world.transitions.exclusive(AGENT),
        pytest.raises(ConflictError, match=r"models\.yaml names 'acme/hotfix'"),
    ):
        world.transitions.apply(after, decision)
    assert world.journal.pending() == []
    ended, _ = rollout_machine.roll_back(state, "enough", world.clock())
    with world.transitions.exclusive(AGENT):
        world.transitions.apply(ended, Decision(actor="ada", kind="rollback", message="back"))
    assert world.yaml.read().agent_models[AGENT] == STABLE_MODEL
    world.check_agreement()


async def test_trouble_that_is_over_and_comes_back_is_told_again(world: World) -> None:
    """Once for each time, not once for ever and not at every tick."""
    await world.deploy()
    whole = world.yaml.path.read_text()
    for _ in range(2):
        world.yaml.path.write_text(whole.replace("openrouter:", "openrouter"))
        world.timer.tick()
        world.timer.tick()
        world.yaml.path.write_text(whole)
        world.timer.tick()
    assert len(world.alerts) == 4  # the rollout and the file, twice
    world.check_agreement()


async def test_a_broken_registry_holds_promotions_and_no_rollback(world: World) -> None:
    """The timer tells; what is bad goes back all the same."""
    await world.deploy()
    registry = world.folder / "config" / "models" / "registry.json"
    whole = registry.read_bytes()
    registry.write_bytes(whole[:300])
    world.send(1500, seed=1)
    world.clock.pass_by(20)
    world.timer.tick()
    assert world.state().weight == 20
    assert "Its step waits" in world.alerts[0]
    world.send(300, seed=2, good={"candidate": 0.0})
    world.timer.tick()
    assert world.state().phase == "rolled_back"
    assert world.yaml.read().arms(AGENT)[0].weight == 100
    assert "the traffic is as decided" in world.alerts[1]
    registry.write_bytes(whole)
    world.timer.tick()
    world.check_agreement()
    assert world.registry.get_version(AGENT, "v1.0.0").deployment_status == "archived"
