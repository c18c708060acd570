"""Rollouts in the database: one open at a time for an agent, every decision once."""

import math
from dataclasses import replace

import pytest
from tests.doubles.splits import pair

from agent_orchestrator.domain.rollout import RolloutPolicy, RolloutState
from agent_orchestrator.errors import ConflictError, NotFoundError
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.rollouts import RolloutStore

STATE = RolloutState(
    id="ro_1",
    agent="feature_dev",
    strategy="canary",
    policy=RolloutPolicy(steps=(5, 100), guardrails=("error",)),
    arms=pair(5, stable=("a/b", "v1.0.0"), candidate=("a/c", None)),
    started_at=100.0,
    step_started_at=100.0,
)


@pytest.fixture
def store(database: Database) -> RolloutStore:
    """Return an empty store."""
    return RolloutStore(database)


def test_a_rollout_comes_back_as_it_was_saved(store: RolloutStore) -> None:
    """State and frozen policy survive the database; saving again replaces."""
    store.save(STATE, 100.0)
    store.save(STATE, 100.0)
    assert store.get("ro_1") == store.running("feature_dev") == STATE
    later = replace(STATE, step=1, arms=pair(100), step_started_at=200.0)
    store.save(later, 200.0)
    assert store.open() == [later]
    assert store.find("ro_9") is None
    with pytest.raises(NotFoundError, match="No rollout 'ro_9'"):
        store.get("ro_9")


def test_an_agent_has_one_open_rollout(store: RolloutStore) -> None:
    """A second rollout waits until the first has ended; other agents do not mind."""
    store.save(STATE, 100.0)
    second = replace(STATE, id="ro_2", started_at=300.0)
    with pytest.raises(ConflictError, match="ro_1 of feature_dev has not ended"):
        store.save(second, 300.0)
    store.save(replace(STATE, id="ro_3", agent="cicd"), 300.0)
    ended = replace(STATE, phase="rolled_back", ended_at=250.0, reason="errors")
    store.save(ended, 250.0)
    assert store.running("feature_dev") is None
    assert store.latest("feature_dev") == ended
    store.save(second, 300.0)
    assert store.latest("feature_dev") == second
    assert {state.id for state in store.open()} == {"ro_2", "ro_3"}
    assert store.latest("nobody") is None


def test_a_decision_is_recorded_once_for_its_intent(store: RolloutStore) -> None:
    """Recovery may append the same decision again; the history has it once, in order."""
    for number in (1, 2, 1):
        store.append_decision(
            "ro_1",
            intent_id=f"in_{number}",
            at=float(number),
            actor="timer",
            kind="step",
            message=f"step {number}",
            evidence={"weight": number},
        )
    history = store.decisions("ro_1")
    assert [(entry.intent_id, entry.evidence) for entry in history] == [
        ("in_1", {"weight": 1}),
        ("in_2", {"weight": 2}),
    ]
    assert store.decisions("ro_9") == []


def test_rollouts_follow_each_other_by_number_not_by_clock(store: RolloutStore) -> None:
    """A clock that was set back does not make an older rollout the newest."""
    ended = {"phase": "rolled_back", "ended_at": 250.0}
    store.save(replace(STATE, **ended), 100.0)
    second = replace(STATE, id="ro_0", started_at=50.0, **ended)
    store.save(second, 50.0)
    assert store.latest("feature_dev") == second
    assert [state.id for state in store.of("feature_dev")] == ["ro_1", "ro_0"]


def test_evidence_may_be_infinite(store: RolloutStore) -> None:
    """Numbers and texts that JSON's standard or a database does not know are kept."""
    evidence = {"e_value": math.inf, "text": "a\0b \ud800", "none": None}
    store.append_decision(
        "ro_1", intent_id="in_1", at=1.0, actor="a", kind="step", message="m", evidence=evidence
    )
    assert store.decisions("ro_1")[0].evidence == evidence
