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
    mirrored_arms,
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


@given(st.integers(0, 100), st.integers(0, 100), st.text(max_size=8))
def test_raising_a_mirror_share_only_adds_tasks(one: int, other: int, task: str):
    """A task that is mirrored stays so; 0 mirrors none and 100 all."""
    low, high = sorted((one, other))
    arms = [[Arm("candidate", "m", weight=0, mirror=share)] for share in (low, high, 0, 100)]
    of_low, of_high, of_none, of_all = (mirrored_arms(a, task, "ro") for a in arms)
    assert not of_low or of_high
    assert (of_none, of_all) == ((), tuple(arms[3]))


def test_mirroring_is_independent_of_the_arm_that_serves():
    """Half of the tasks of each arm are mirrored, not those of one arm."""
    arms = [Arm("stable", "a", weight=50), Arm("candidate", "b", weight=50)]
    looked_at = [Arm("third", "c", weight=0, mirror=50)]
    tasks = [str(n) for n in range(2000)]
    both = Counter(
        (choose_arm(arms, t, "ro").name, bool(mirrored_arms(looked_at, t, "ro"))) for t in tasks
    )
    assert all(400 < count < 600 for count in both.values())
    assert len(both) == 4
