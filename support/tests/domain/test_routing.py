from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.routing import (
    CANDIDATE,
    STABLE,
    Arm,
    Endpoint,
    Rollout,
    RoutingTable,
    choose_arm,
)
from agent_orchestrator.domain.statistics import srm_p_value

TASKS = [f"task-{i}" for i in range(4000)]


def arms(candidate: int) -> list[Arm]:
    """Return a split with this share for the candidate."""
    return [
        Arm(STABLE, "old", weight=100 - candidate),
        Arm(CANDIDATE, "new", weight=candidate),
    ]


@pytest.mark.parametrize("weight", [1, 5, 20, 50, 80, 99])
def test_the_realised_split_follows_the_weight(weight: int) -> None:
    """Over many tasks the share of each arm is the one asked for."""
    counts = Counter(choose_arm(arms(weight), task, "ro_1").name for task in TASKS)
    assert srm_p_value([counts[CANDIDATE], counts[STABLE]], [weight, 100 - weight]) > 0.001


@given(task=st.text(), rollout=st.text(), weight=st.integers(0, 100))
def test_a_task_always_gets_the_same_arm(task: str, rollout: str, weight: int) -> None:
    """The choice depends on nothing but the task, the rollout and the weights."""
    chosen = choose_arm(arms(weight), task, rollout)
    assert choose_arm(list(reversed(arms(weight))), task, rollout) == chosen


@given(st.integers(0, 99), st.integers(1, 100), st.text())
def test_raising_a_weight_moves_tasks_towards_that_arm_only(low: int, more: int, task: str) -> None:
    """A task on the candidate stays there when the candidate's weight rises."""
    high = min(100, low + more)
    if choose_arm(arms(low), task, "ro_1").name == CANDIDATE:
        assert choose_arm(arms(high), task, "ro_1").name == CANDIDATE


def test_another_rollout_deals_the_tasks_anew() -> None:
    """The same tasks are not always the ones that try the candidate."""
    first = [choose_arm(arms(50), task, "ro_1").name for task in TASKS]
    second = [choose_arm(arms(50), task, "ro_2").name for task in TASKS]
    agree = sum(a == b for a, b in zip(first, second, strict=True))
    assert 0.45 < agree / len(TASKS) < 0.55


def test_an_arm_of_weight_0_gets_nothing() -> None:
    """A shadow or a rolled-back candidate never answers."""
    assert {choose_arm(arms(0), task, "ro_1").name for task in TASKS} == {STABLE}


def test_arms_without_any_weight_are_refused() -> None:
    """There is no silent choice when no arm may carry traffic."""
    with pytest.raises(ValueError, match="weight"):
        choose_arm([Arm(STABLE, "old", weight=0)], "task", "ro_1")


def test_the_table_falls_back_step_by_step() -> None:
    """Arms: the rollout's, else the stable model. Places: the entry, else OpenRouter."""
    endpoint = Endpoint("new", "huggingface", ("https://example.org/v1",), "HUGGINGFACE_TOKEN")
    table = RoutingTable(
        agent_models={"cicd": "old", "code_review": "old"},
        models={"new": endpoint},
        fallbacks={"default": ("spare",), "cicd": ("own",)},
        rollouts={"code_review": Rollout("ro_1", "canary", tuple(arms(20)))},
    )
    assert table.arms("cicd") == (Arm(STABLE, "old"),)
    assert table.arms("code_review") == tuple(arms(20))
    assert table.endpoint("new") is endpoint
    assert table.endpoint("old") == Endpoint("old", "openrouter")
    assert table.fallback_models("cicd") == ("own",)
    assert table.fallback_models("code_review") == ("spare",)
    assert RoutingTable({}).fallback_models("cicd") == ()
    with pytest.raises(KeyError):
        table.arms("unknown")
