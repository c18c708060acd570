"""Changes of what serves, cut off at every point: whoever comes next finishes or forgets them."""

import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from tests.doubles.splits import pair
from tests.modelops.tripwire import Killed, Tripwire
from tests.modelops.world import ADA, AGENT, STABLE_MODEL, Clock, World

from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.rollouts.desired import (
    Desired,
    desired,
    routed,
)
from agent_orchestrator.agents.infrastructure.modelops.rollouts.transitions import (
    _INTENT,
    Decision,
    Intent,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    DeployModelToAgent,
    PromoteCanary,
    RollbackDeployment,
)
from agent_orchestrator.domain.rollout import RolloutPolicy, RolloutState
from agent_orchestrator.domain.rollout_machine import roll_back
from agent_orchestrator.domain.routing import Endpoint, RoutingTable
from agent_orchestrator.errors import (
    ChefError,
    ConflictError,
    FailedError,
    LockTimeout,
    ModelsYamlError,
    StorageError,
)
from agent_orchestrator.stores.journal import IntentJournal, JournalEntry
from agent_orchestrator.stores.rollouts import RolloutStore

Step = Callable[[World], Awaitable[object]]


async def carry_out(plan: Plan) -> None:
    """Do what was planned; approvals have tests of their own."""
    await plan.act("ap_1")


async def start(world: World) -> None:
    """Deploy as a canary."""
    request = DeployModelToAgent(agent=AGENT, version="v1.0.0")
    await carry_out(world.deployment.plan_deploy(request, ADA))


async def immediately(world: World) -> None:
    """Deploy all at once."""
    request = DeployModelToAgent(agent=AGENT, version="v1.1.0", strategy="immediate")
    await carry_out(world.deployment.plan_deploy(request, ADA))


async def promote(world: World) -> None:
    """Promote to the next step."""
    await carry_out(world.promotions.plan(PromoteCanary(agent=AGENT), ADA))


async def to_the_end(world: World) -> None:
    """Promote to 100 %."""
    await carry_out(world.promotions.plan(PromoteCanary(agent=AGENT, percent=100), ADA))


async def go_back(world: World) -> None:
    """Roll back."""
    world.clock.pass_by(1)
    await carry_out(world.rollbacks.plan(RollbackDeployment(agent=AGENT), ADA))


async def tick(world: World) -> None:
    """Let the timer look."""
    world.clock.pass_by(20)
    world.timer.tick()


async def good_traffic(world: World) -> None:
    """Let the candidate do as well as the stable arm, in numbers that settle it."""
    world.send(1500)


async def bad_traffic(world: World) -> None:
    """Let the candidate fail."""
    world.send(300, good={"stable": 0.95, "candidate": 0.2})


async def edit(world: World) -> None:
    """Change the weights by hand."""
    world.edit("weight: 80", "weight: 65")
    world.edit("weight: 20", "weight: 35")


async def misedit(world: World) -> None:
    """Change an arm by hand."""
    world.edit("name: candidate", "name: other")


async def take_out(world: World) -> None:
    """Take the rollout's entry out by hand."""
    text = world.yaml.path.read_text()
    world.yaml.path.write_text(text[: text.index("rollouts:")])


#: Every kind of change: what comes before it, the change, the phase and weight that it leads to.
CHANGES: dict[str, tuple[list[Step], Step, tuple[str, int]]] = {
    "start": ([], start, ("running", 20)),
    "immediate": ([], immediately, ("guard", 100)),
    "step": ([start, good_traffic], tick, ("running", 50)),
    "promote": ([start], promote, ("running", 50)),
    "promote to the end": ([start], to_the_end, ("guard", 100)),
    "rollback by the verdict": ([start, bad_traffic], tick, ("rolled_back", 0)),
    "rollback by a person": ([start, promote], go_back, ("rolled_back", 0)),
    "rollback in the guard period": ([immediately], go_back, ("rolled_back", 0)),
    "finish": ([immediately], tick, ("promoted", 100)),
    "adopt": ([start, edit], tick, ("running", 35)),
    "undo": ([start, misedit], tick, ("running", 20)),
    "end": ([start, take_out], tick, ("rolled_back", 0)),
    "back without a rollout": ([immediately, tick], go_back, ("promoted", 100)),
}


async def prepared(world: World, change: str) -> Step:
    """Do what comes before a change; return the change."""
    before, act, _ = CHANGES[change]
    for step in before:
        await step(world)
    return act


def phase_and_weight(world: World) -> tuple[str, int] | None:
    """Return where the newest rollout stands."""
    state = world.state()
    return None if state is None else (state.phase, state.weight)


@pytest.mark.parametrize("change", CHANGES)
async def test_every_change_leads_where_it_should(world: World, change: str) -> None:
    """Uninterrupted, registry, models.yaml and rollout agree, and the audit log has it once."""
    act = await prepared(world, change)
    entries = len(world.audit.tail(1000))
    await act(world)
    assert phase_and_weight(world) == CHANGES[change][2]
    world.check_agreement()
    actions = [entry.action for entry in world.audit.tail(1000)[entries:]]
    kinds = {"start", "step", "promote", "rollback", "finish", "adopt"}
    assert sum(action in kinds for action in actions) == 1


def copies(world: World, folder: Path) -> Iterator[tuple[int, Path]]:
    """Close a world and give copies of it, each with its number from 1."""
    world.close()
    template = folder.with_name(f"{folder.name}-0")
    folder.rename(template)
    for number in range(1, 30):
        copy = folder.with_name(f"{folder.name}-{number}")
        shutil.copytree(template, copy)
        yield number, copy


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_cut_off_anywhere_is_finished(
    world: World, tmp_path: Path, change: str
) -> None:
    """Killed after any effect, it is finished by the next to come, and recorded once."""
    act = await prepared(world, change)
    for point, folder in copies(world, tmp_path):
        clock = Clock(world.clock())
        first = World(folder, clock=clock, tripwire=Tripwire(point))
        try:
            await act(first)
        except Killed:
            first.close()
        else:
            first.close()
            break
        second = World(folder, clock=clock)
        second.transitions.recover()
        assert phase_and_weight(second) == CHANGES[change][2]
        second.check_agreement()
        decisions = second.rollouts.decisions(second.state().id)
        assert len({decision.intent_id for decision in decisions}) == len(decisions)
        second.close()
    assert [name.removeprefix("after ") for name in first.tripwire.passed] == [
        "IntentJournal.write",
        "ModelsYaml.update",
        "RolloutStore.save",
        "RolloutStore.append_decision",
        "ModelRegistry.set_serving",
        "AuditLog.append",
        "IntentJournal.complete",
    ]


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("change", ["start", "step", "rollback by the verdict", "adopt"])
async def test_a_change_that_fails_anywhere_is_finished_or_withdrawn(
    world: World, tmp_path: Path, change: str, where: str
) -> None:
    """A disk that is full for a moment, at any effect: nothing has changed, or it is finished."""
    act = await prepared(world, change)
    for point, folder in copies(world, tmp_path):
        tripwire = Tripwire(point, StorageError, where=where)
        faulty = World(folder, clock=Clock(world.clock()), tripwire=tripwire)
        before = (phase_and_weight(faulty), faulty.yaml.path.read_bytes())
        with suppress(ChefError):  # the timer tells, people are told
            await act(faulty)
        if len(tripwire.passed) < point:
            faulty.close()
            break
        if faulty.journal.pending():
            faulty.transitions.recover()
            assert phase_and_weight(faulty) == CHANGES[change][2]
            faulty.check_agreement()
        else:
            began = tripwire.passed[point - 1] == "after IntentJournal.complete"
            after = (phase_and_weight(faulty), faulty.yaml.path.read_bytes())
            assert (after == before) is not began
        faulty.timer.tick()
        faulty.check_agreement()
        faulty.close()
    assert point == 8


async def test_what_could_not_begin_does_not_happen_later(world: World) -> None:
    """A deployment that failed on models.yaml is withdrawn: nobody carries it out afterwards."""
    before = world.yaml.path.read_bytes()
    world.tripwire.arm(1, StorageError, where="before", since="ModelsYaml.update")
    with pytest.raises(StorageError):
        await world.deploy()
    assert world.journal.pending() == []
    world.timer.tick()
    assert world.state() is None
    assert world.yaml.path.read_bytes() == before
    world.check_agreement()


async def test_what_cannot_be_withdrawn_says_so(world: World) -> None:
    """The file could not be replaced, and the journal refuses too: it will be carried out."""
    world.transitions._journal = cast("IntentJournal", _Journal(world))
    world.tripwire.arm(1, StorageError, where="before", since="ModelsYaml.update")
    with pytest.raises(StorageError, match="whoever comes next carries it out"):
        await start(world)
    world.transitions._journal = world.journal
    world.timer.tick()
    assert phase_and_weight(world) == ("running", 20)
    world.check_agreement()


class _Journal:
    """A journal that can be written and not completed."""

    def __init__(self, world: World) -> None:
        self.write = world.journal.write
        self.pending = world.journal.pending

    def complete(self, _intent_id: str) -> None:
        raise StorageError("disk full")


def _started(world: World, **changes: object) -> RolloutState:
    """Return a rollout at its first step."""
    state = RolloutState(
        id="ro_1",
        agent=AGENT,
        strategy="canary",
        policy=world.policy({}),
        arms=pair(stable=(STABLE_MODEL, None), candidate=("acme/one", "v1.0.0")),
        started_at=world.clock(),
        step_started_at=world.clock(),
    )
    return replace(state, **changes)


def _journal(world: World, state: RolloutState, intent_id: str = "in_1", **more: object) -> None:
    """Write an intent down, as a process does that is killed right after."""
    decision = Decision(actor="ada", kind="start", message="go")
    intent = Intent(id=intent_id, at=world.clock(), state=state, decision=decision)
    payload = _INTENT.dump_python(intent, mode="json") | more
    world.journal.write(
        JournalEntry(
            id=intent_id, agent=state.agent, kind="start", payload=payload, at=world.clock()
        )
    )


async def test_one_agents_stuck_change_does_not_block_the_others(world: World) -> None:
    """An intent that nobody can read blocks its agent, with a message, and no other."""
    _journal(world, _started(world), decision={"from": "the future"})
    recovery = world.transitions.recover()
    assert recovery.settled == ()
    assert "another version of this program" in str(recovery.stuck[AGENT])
    with pytest.raises(FailedError, match=r"change of feature_dev is not finished.*chef serve"):
        await world.deploy()
    await world.deploy_for("cicd")
    assert world.rollouts.running("cicd").weight == 20
    world.timer.tick()
    world.timer.tick()
    assert len(world.alerts) == 1
    assert "another version of this program" in world.alerts[0]


async def test_a_file_broken_by_hand_keeps_the_change_until_it_is_mended(world: World) -> None:
    """The next to come is told file and line; once it is mended, the change is finished."""
    _journal(world, _started(world))
    world.edit("openrouter:", "openrouter")
    for _ in range(2):
        recovery = world.transitions.recover()
        assert isinstance(recovery.stuck[AGENT], ModelsYamlError)
    world.edit("openrouter", "openrouter:")
    (line,) = world.transitions.recover().settled
    assert line == "Change in_1 of feature_dev (start) had been cut off and is finished now."
    assert phase_and_weight(world) == ("running", 20)
    world.check_agreement()


async def test_a_version_that_is_gone_is_served_as_unregistered(world: World) -> None:
    """The registry was restored to a state that does not know it: the change is finished anyway."""
    _journal(
        world,
        _started(
            world,
            arms=pair(stable=(STABLE_MODEL, None), candidate=("acme/one", "v7.0.0")),
        ),
    )
    assert world.transitions.recover().stuck == {}
    assert world.yaml.read().rollouts[AGENT].arms[1].version == "v7.0.0"
    assert world.registry.agent(AGENT).canary is None
    assert world.journal.pending() == []


async def test_an_agent_that_is_gone_has_nothing_to_recover(world: World) -> None:
    """Taken out of models.yaml after the crash: the rollout is over, nobody is blocked."""
    _journal(world, _started(world))
    world.edit(f"    feature_dev: {STABLE_MODEL}        # people's comment\n", "")
    assert world.transitions.recover().stuck == {}
    assert world.state().phase == "rolled_back"
    assert "models.yaml names None" in world.state().reason
    assert world.journal.pending() == []


async def test_a_model_that_people_chose_since_the_crash_stays(world: World) -> None:
    """A change that never began does not overwrite what was written by hand later."""
    _journal(world, _started(world))
    world.edit("feature_dev: acme/stable", "feature_dev: acme/hotfix")
    world.transitions.recover()
    assert world.yaml.read().agent_models[AGENT] == "acme/hotfix"
    assert world.state().phase == "rolled_back"
    assert world.journal.pending() == []


async def test_a_change_whose_place_is_taken_is_given_up(world: World) -> None:
    """Another rollout is open: the old intent is forgotten with a line, the other one stays."""
    await world.deploy()
    _journal(world, _started(world, id="ro_old"))
    (line,) = world.transitions.recover().settled
    assert "is given up: Rollout ro_" in line
    assert world.audit.tail(1)[0].action == "given_up"
    world.timer.tick()
    world.check_agreement()
    assert world.state().id != "ro_old"


async def test_of_several_unfinished_changes_the_last_one_counts(world: World) -> None:
    """Older ones had their say in the rollout's row; only the last one sets the files."""
    state = _started(world)
    _journal(world, state, "in_1")
    world.rollouts.save(state, world.clock())
    ended, _ = roll_back(state, "bad", world.clock())
    _journal(world, ended, "in_2")
    recovery = world.transitions.recover()
    assert len(recovery.settled) == 2
    assert AGENT not in world.yaml.read().rollouts
    world.check_agreement()
    writes = [path for path in world.yaml.path.parent.iterdir() if path.suffix == ".yaml"]
    assert len(writes) == 1


async def test_the_same_change_recovered_twice_is_recorded_once(world: World) -> None:
    """Its decision is known by the intent's id."""
    _journal(world, _started(world))
    world.transitions.recover()
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE intents SET done = 0")
    world.transitions.recover()
    assert len(world.rollouts.decisions("ro_1")) == 1
    world.check_agreement()


async def test_recovery_is_audited_with_who_decided(world: World) -> None:
    """The log says that it was finished by recovery, and whose decision it was."""
    _journal(world, _started(world))
    world.transitions.recover()
    entry = world.audit.tail(1)[0]
    assert (entry.actor, entry.action, entry.subject) == ("recovery", "start", AGENT)
    assert entry.detail["decided_by"] == "ada"


def test_with_nothing_to_recover_the_lock_is_left_alone(world: World, tmp_path: Path) -> None:
    """The timer asks at every tick."""
    with world.database.exclusive("deployment", 0):
        assert world.transitions.recover().settled == ()


def test_a_lock_that_is_held_is_waited_for_and_then_told(world: World, tmp_path: Path) -> None:
    """Who cannot get it changes nothing."""
    world.transitions._lock_timeout = 0.05
    with (
        world.database.exclusive("deployment", 0),
        pytest.raises(LockTimeout, match="deployment"),
        world.transitions.exclusive(AGENT),
    ):
        raise AssertionError("The lock was held.")


async def test_an_edit_in_the_same_moment_is_not_reported_as_success(world: World) -> None:
    """What is read back is not what was written: the error says so, the next one sets it right."""
    save = world.rollouts.save

    def edit_and_save(state: RolloutState, at: float) -> None:
        save(state, at)
        world.edit("weight: 20", "weight: 21")
        world.edit("weight: 80", "weight: 79")

    rollouts = world.transitions._rollouts
    world.transitions._rollouts = cast("RolloutStore", _Rollouts(rollouts, edit_and_save))
    with pytest.raises(ChefError, match=r"rollout in models\.yaml is .* after the change"):
        await world.deploy()
    world.transitions._rollouts = rollouts
    world.timer.tick()
    assert world.state().weight == 20
    world.check_agreement()


class _Rollouts:
    """A store of rollouts with a ``save`` of one's own."""

    def __init__(self, store: object, save: Callable) -> None:
        self._store = store
        self.save = save

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


# -- what a state means ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "weight", "files"),
    [
        ("running", 20, (STABLE_MODEL, "running", None, "v1.0.0")),
        ("guard", 100, ("acme/one", "guard", "v1.0.0", None)),
        ("promoted", 100, ("acme/one", None, "v1.0.0", None)),
        ("rolled_back", 0, (STABLE_MODEL, None, None, None)),
    ],
)
def test_a_state_says_what_the_files_hold(phase: str, weight: int, files: tuple) -> None:
    """Completely, and nothing but the state decides."""
    state = RolloutState(
        id="ro_1",
        agent=AGENT,
        strategy="canary",
        policy=RolloutPolicy(),
        arms=pair(weight, stable=(STABLE_MODEL, None), candidate=("acme/one", "v1.0.0")),
        started_at=1.0,
        step_started_at=1.0,
        phase=phase,
        serving="candidate" if phase in ("guard", "promoted") else "stable",
    )
    want = desired(state)
    in_file = want.rollout.phase if want.rollout else None
    assert (want.agent_model, in_file, want.current, want.canary) == files
    if want.rollout:
        assert [arm.weight for arm in want.rollout.arms] == [100 - weight, weight]


def test_an_endpoint_on_openrouter_is_not_listed() -> None:
    """Unlisted names go there anyway; other places are listed."""
    table = RoutingTable({AGENT: STABLE_MODEL})
    want = Desired(agent_model="acme/one", rollout=None)
    assert routed(table, AGENT, want, [Endpoint("acme/one")]).models == {}
    local = Endpoint("acme/one", "local")
    assert routed(table, AGENT, want, [local]).models == {"acme/one": local}
    listed = RoutingTable({AGENT: STABLE_MODEL}, {"acme/one": Endpoint("acme/one")})
    assert routed(listed, AGENT, want, [local]).models == listed.models
    gone = Desired(agent_model=None, rollout=None)
    assert routed(table, "nobody", gone) == table


def test_other_rollouts_are_refused_before_anything_is_written(world: World) -> None:
    """A second open rollout of an agent does not even touch models.yaml."""
    world.rollouts.save(_started(world), world.clock())
    before = world.yaml.path.read_bytes()
    decision = Decision(actor="ada", kind="start", message="go")
    with (
        world.transitions.exclusive(AGENT),
        pytest.raises(ConflictError, match="Rollout ro_1 of feature_dev has not ended"),
    ):
        world.transitions.apply(_started(world, id="ro_2"), decision)
    assert world.yaml.path.read_bytes() == before
    assert world.journal.pending() == []
