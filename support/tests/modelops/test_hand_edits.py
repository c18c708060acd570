"""What people write into models.yaml while a rollout runs."""

import pytest
from tests.modelops.world import AGENT, STABLE_MODEL, World

from agent_orchestrator.errors import ModelsYamlError


def weigh(world: World, before: int, after: int) -> None:
    """Edit the candidate's share, and the stable arm's with it."""
    world.edit(f"weight: {100 - before}}}", f"weight: {100 - after}}}")
    world.edit(f"acme/one, weight: {before}}}", f"acme/one, weight: {after}}}")


def take_out(world: World) -> None:
    """Take the rollout's entry out, as a person would."""
    text = world.yaml.path.read_text()
    world.yaml.path.write_text(text[: text.index("rollouts:")])


def history(world: World) -> list[tuple[str, str]]:
    """Return who did what in the rollout."""
    decisions = world.rollouts.decisions(world.state().id)
    return [(decision.actor, decision.kind) for decision in decisions]


@pytest.mark.parametrize(("weight", "step"), [(1, 0), (35, 0), (50, 1), (99, 1)])
async def test_a_weight_is_adopted_and_recorded(world: World, weight: int, step: int) -> None:
    """The rollout goes on from there, and the registry's status follows."""
    await world.deploy()
    weigh(world, 20, weight)
    text = world.yaml.path.read_bytes()
    world.clock.pass_by(5)
    world.timer.tick()
    state = world.state()
    assert (state.weight, state.step, state.phase) == (weight, step, "running")
    assert state.step_started_at == world.clock()
    assert world.yaml.path.read_bytes() == text
    assert world.registry.get_version(AGENT, "v1.0.0").deployment_status == f"canary_{weight}pct"
    decision = world.rollouts.decisions(state.id)[-1]
    assert (decision.actor, decision.kind) == ("models.yaml", "adopt")
    assert f"{weight} %" in decision.message
    assert decision.evidence["split"][1]["weight"] == weight
    world.check_agreement()
    world.timer.tick()
    assert len(history(world)) == 2
    assert world.alerts == []


async def test_an_entry_taken_out_ends_the_rollout(world: World) -> None:
    """The stable model has all traffic again; the rollout says why it ended."""
    await world.deploy()
    take_out(world)
    world.timer.tick()
    state = world.state()
    assert (state.phase, state.weight) == ("rolled_back", 0)
    assert "taken out of models.yaml by hand" in state.reason
    assert world.registry.get_version(AGENT, "v1.0.0").deployment_status == "archived"
    world.check_agreement()
    await world.deploy("v1.1.0")
    world.check_agreement()


async def test_an_entry_taken_out_in_favour_of_the_candidate_promotes_it(world: World) -> None:
    """Who makes the candidate the agent's model has promoted it."""
    await world.deploy()
    take_out(world)
    world.edit(f"feature_dev: {STABLE_MODEL}", "feature_dev: acme/one")
    world.timer.tick()
    assert world.state().phase == "promoted"
    assert world.registry.agent(AGENT).current == "v1.0.0"
    world.check_agreement()


@pytest.mark.parametrize("promotions", [0, 2])
async def test_an_entry_taken_out_in_favour_of_a_third_model_leaves_that_one(
    world: World, promotions: int
) -> None:
    """An emergency's hand edit is not undone: the rollout is over, the third model serves."""
    await world.deploy()
    for _ in range(promotions):
        await world.promote()
    take_out(world)
    serving = world.yaml.read().agent_models[AGENT]
    world.edit(f"feature_dev: {serving}", "feature_dev: acme/hotfix")
    world.timer.tick()
    state = world.state()
    assert state.phase == "rolled_back"
    assert "models.yaml names 'acme/hotfix'" in state.reason
    assert world.yaml.read().agent_models[AGENT] == "acme/hotfix"
    record = world.registry.agent(AGENT)
    assert (record.current, record.canary) == (None, None)
    assert world.journal.pending() == []
    assert world.alerts == []
    await world.deploy("v1.1.0")
    assert world.state().stable.model == "acme/hotfix"
    world.check_agreement()


async def test_a_third_model_that_is_a_version_is_current(world: World) -> None:
    """The registry says what the person chose."""
    await world.deploy()
    take_out(world)
    world.edit(f"feature_dev: {STABLE_MODEL}", "feature_dev: acme/two")
    world.timer.tick()
    assert world.registry.agent(AGENT).current == "v1.1.0"
    assert world.registry.get_version(AGENT, "v1.0.0").deployment_status == "archived"


async def test_another_stable_model_ends_the_rollout(world: World) -> None:
    """The evidence compares with the old one; the new one serves."""
    await world.deploy()
    world.edit("acme/stable", "acme/hotfix")
    world.timer.tick()
    assert world.state().phase == "rolled_back"
    table = world.yaml.read()
    assert table.agent_models[AGENT] == "acme/hotfix"
    assert AGENT not in table.rollouts
    assert world.journal.pending() == []


async def test_a_promotion_by_hand_is_adopted(world: World) -> None:
    """Model, phase and weights as in a guard period: the guard period it is."""
    await world.deploy()
    world.edit(f"feature_dev: {STABLE_MODEL}", "feature_dev: acme/one")
    world.edit("phase: running", "phase: guard")
    weigh(world, 20, 100)
    world.timer.tick()
    assert world.state().phase == "guard"
    assert "the candidate is promoted" in world.rollouts.decisions(world.state().id)[-1].message
    world.check_agreement()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: candidate", "name: challenger"),
        ("version: v1.0.0", "version: v1.1.0"),
        ("model: acme/one", "model: acme/two"),
        ("strategy: canary", "strategy: ab"),
        ("id: ro_", "id: my_"),
        ("weight: 20}", "weight: 20, mirror: 50}"),
        (
            "      - {name: candidate",
            "      - {name: third, model: acme/two, weight: 0}\n      - {name: candidate",
        ),
    ],
)
async def test_what_the_evidence_is_about_is_not_edited(world: World, old: str, new: str) -> None:
    """Other arms, models or names: undone, with an alert, and on record."""
    await world.deploy()
    text = world.yaml.path.read_text()
    world.edit(old, new)
    world.timer.tick()
    assert world.yaml.path.read_text() == text
    (alert,) = world.alerts
    assert "hand edit of feature_dev's rollout was undone" in alert
    decision = world.rollouts.decisions(world.state().id)[-1]
    assert decision.kind == "adopt"
    assert "undone" in decision.evidence
    assert "position" not in decision.evidence
    assert world.state().weight == 20
    world.check_agreement()


@pytest.mark.parametrize("weight", [0, 100])
async def test_a_weight_that_would_end_the_rollout_is_undone(world: World, weight: int) -> None:
    """Nothing and everything are said by taking the entry out, or by a promotion."""
    await world.deploy()
    text = world.yaml.path.read_text()
    weigh(world, 20, weight)
    world.timer.tick()
    assert world.yaml.path.read_text() == text
    assert len(world.alerts) == 1
    world.check_agreement()


async def test_a_guard_period_is_not_edited(world: World) -> None:
    """Its weights are fixed by the file's own rules; a running phase again is undone."""
    await world.deploy(strategy="immediate")
    world.edit("phase: guard", "phase: running")
    world.edit("feature_dev: acme/one", f"feature_dev: {STABLE_MODEL}")
    world.timer.tick()
    assert world.state().phase == "guard"
    assert world.yaml.read().agent_models[AGENT] == "acme/one"
    assert len(world.alerts) == 1
    world.check_agreement()


async def test_an_agent_taken_out_ends_its_rollout(world: World) -> None:
    """Nothing is left to serve; the other agents go on."""
    await world.deploy()
    take_out(world)
    world.edit(f"    feature_dev: {STABLE_MODEL}        # people's comment\n", "")
    world.timer.tick()
    assert world.state().phase == "rolled_back"
    assert world.registry.agent(AGENT).canary is None
    assert world.journal.pending() == []
    assert world.alerts == []
    assert AGENT not in world.yaml.read().agent_models


async def test_a_broken_file_makes_the_timer_hold(world: World) -> None:
    """It says so once, changes nothing, and goes on when the file is mended."""
    await world.deploy()
    whole = world.yaml.path.read_text()
    world.edit("openrouter:", "\topenrouter:")
    broken = world.yaml.path.read_text()
    with pytest.raises(ModelsYamlError):
        world.yaml.read()
    for _ in range(3):
        world.timer.tick()
    assert world.yaml.path.read_text() == broken
    assert len(world.alerts) == 2
    assert all("not YAML" in alert for alert in world.alerts)
    world.yaml.path.write_text(whole)
    weigh(world, 20, 30)
    world.timer.tick()
    assert world.state().weight == 30
    world.check_agreement()


async def test_weights_that_do_not_add_up_are_a_broken_file(world: World) -> None:
    """80 and 30 are nobody's decision."""
    await world.deploy()
    world.edit("acme/one, weight: 20}", "acme/one, weight: 30}")
    world.timer.tick()
    assert any("Make them sum to 100" in alert for alert in world.alerts)
    assert world.state().weight == 20
    world.edit("acme/one, weight: 30}", "acme/one, weight: 20}")
    world.timer.tick()
    world.check_agreement()


async def test_a_split_that_nobody_watches_is_told(world: World) -> None:
    """An entry written by hand, or left of a lost database, is an alert until it is gone."""
    text = world.yaml.path.read_text()
    world.yaml.path.write_text(
        text
        + """\
rollouts:
  feature_dev:
    id: ro_mine
    strategy: canary
    arms:
      - {name: stable, model: acme/stable, weight: 50}
      - {name: candidate, model: acme/one, weight: 50}
"""
    )
    world.timer.tick()
    world.timer.tick()
    (alert,) = world.alerts
    assert "'ro_mine', which is no open rollout: nobody watches it" in alert
    world.yaml.path.write_text(text)
    world.timer.tick()
    assert len(world.alerts) == 1
    await world.deploy()
    world.timer.tick()
    assert len(world.alerts) == 1


async def test_the_weights_of_several_arms_can_be_edited(world: World) -> None:
    """Taken over as they are, the registry too; another model for an arm is undone."""
    policy = {"guardrails": ["error"], "goal": "error"}
    await world.deploy(strategy="champion_challenger", challengers=["v1.1.0"], policy=policy)
    world.edit("weight: 34", "weight: 40")
    world.edit("model: acme/one, weight: 33", "model: acme/one, weight: 27")
    world.timer.tick()
    assert [arm.weight for arm in world.state().arms] == [40, 27, 33]
    assert "the challenger_1 has 27 %, the challenger_2 has 33 % now" in _last_message(world)
    world.check_agreement()
    text = world.yaml.path.read_text()
    world.edit("acme/two", "acme/other")
    world.timer.tick()
    assert world.yaml.path.read_text() == text


async def test_a_challenger_promoted_by_hand_is_promoted(world: World) -> None:
    """All weight for it, and its model for the agent."""
    policy = {"guardrails": ["error"], "goal": "error"}
    await world.deploy(strategy="champion_challenger", challengers=["v1.1.0"], policy=policy)
    entry = world.yaml.path.read_text()
    for old, new in (
        ("feature_dev: acme/stable", "feature_dev: acme/two"),
        ("phase: running", "phase: guard"),
        ("weight: 34", "weight: 0"),
        ("model: acme/one, weight: 33", "model: acme/one, weight: 0"),
        ("model: acme/two, weight: 33", "model: acme/two, weight: 100"),
    ):
        assert old in entry, entry
        entry = entry.replace(old, new)
    world.yaml.path.write_text(entry)
    world.timer.tick()
    assert (world.state().phase, world.state().serving) == ("guard", "challenger_2")
    assert world.registry.agent(AGENT).current == "v1.1.0"
    world.check_agreement()


def _last_message(world: World) -> str:
    return world.rollouts.decisions(world.state().id)[-1].message
