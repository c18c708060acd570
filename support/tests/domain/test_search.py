import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.search import (
    MAX_RUNGS,
    Choice,
    Place,
    Range,
    SearchPlan,
    Trial,
    best,
    draw,
    due,
    is_over,
    read_space,
)
from agent_orchestrator.errors import InputError

SPACE = {"batch_size": [4, 8], "learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}}


def plan(count: int, rungs: int = 1, **fields: Any) -> SearchPlan:
    """Return a plan of so many settings."""
    return SearchPlan(settings=tuple({"x": n} for n in range(count)), rungs=rungs, **fields)


def test_a_list_is_a_choice_and_a_mapping_a_range() -> None:
    """Of whole numbers when both ends are."""
    space = read_space(SPACE | {"num_epochs": {"low": 1, "high": 4}})
    assert space == {
        "batch_size": Choice((4, 8)),
        "learning_rate": Range(1e-5, 1e-3, log=True),
        "num_epochs": Range(1.0, 4.0, whole=True),
    }


@pytest.mark.parametrize(
    "wrong",
    [
        5,
        [],
        "1..5",
        {"low": 1},
        {"low": 2, "high": 1},
        {"low": 0, "high": 1, "log": True},
        {"low": 0, "high": float("inf")},
        {"low": 0, "high": 1, "step": 2},
    ],
)
def test_what_is_neither_is_refused_with_an_example(wrong: Any) -> None:
    """The message names the key and the value."""
    with pytest.raises(InputError, match="learning_rate is neither") as error:
        read_space({"learning_rate": wrong})
    assert '"log":true' in error.value.remedy


def test_an_empty_space_is_refused() -> None:
    """There is nothing to search."""
    with pytest.raises(InputError, match="empty"):
        read_space({})


@given(st.integers(1, 30), st.integers(0, 1000))
def test_settings_are_different_within_the_space_and_drawn_again_the_same(
    trials: int, seed: int
) -> None:
    """A restart of our side, or a longer search, draws what was drawn before."""
    space = read_space(SPACE | {"num_epochs": {"low": 1, "high": 3}})
    found = draw(space, trials, seed)
    assert len(found) == trials == len({str(setting) for setting in found})
    for setting in found:
        assert setting["batch_size"] in {4, 8}
        assert 1e-5 <= setting["learning_rate"] <= 1e-3
        assert setting["num_epochs"] in {1, 2, 3}
    assert draw(space, trials + 5, seed)[:trials] == found


def test_a_small_space_is_tried_whole() -> None:
    """Four combinations are four trials, however many were asked for."""
    found = draw(read_space({"a": [1, 2], "b": [3, 4]}), 10, 0)
    assert sorted(map(str, found)) == sorted(str({"a": a, "b": b}) for a in (1, 2) for b in (3, 4))


def test_rungs_shrink_by_three_and_grow_by_three() -> None:
    """Nine settings for a ninth of the epochs, three for a third, one for all."""
    nine = plan(9, 3)
    assert [nine.size(rung) for rung in range(3)] == [9, 3, 1]
    assert [nine.share(rung) for rung in range(3)] == pytest.approx([1 / 9, 1 / 3, 1.0])
    assert nine.places == 13
    assert plan(5).share(0) == 1.0


def test_the_better_third_goes_on_and_the_best_of_the_last_rung_wins() -> None:
    """However good a trial of an earlier rung looked."""
    two = plan(4, 2)
    trials: dict[Place, Trial] = {(0, n): Trial(True, 1.0 + n) for n in range(4)}
    assert due(two, trials) == [(1, 0), (1, 1)]
    assert best(two, trials) == (0, 0)
    trials |= {(1, 0): Trial(True, 0.9), (1, 1): Trial(True, 0.8)}
    assert due(two, trials) == []
    assert is_over(two, trials)
    assert best(two, trials) == (1, 1)


def test_a_rung_waits_for_the_one_before() -> None:
    """While a trial runs, nobody knows who goes on."""
    trials = {(0, 0): Trial(True, 1.0), (0, 1): Trial(False), (0, 2): Trial(True, 2.0)}
    assert due(plan(3, 2), trials) == []
    assert not is_over(plan(3, 2), trials)


def test_what_failed_does_not_go_on() -> None:
    """Nor does a loss that is no number; when all failed, there is no best one."""
    trials = {(0, 0): Trial(True), (0, 1): Trial(True, float("nan")), (0, 2): Trial(True, 9.0)}
    assert due(plan(3, 2), trials) == [(1, 2)]
    failed = {place: Trial(True) for place in trials}
    assert is_over(plan(3, 2), failed)
    assert best(plan(3, 2), failed) is None


def test_a_reward_is_to_be_high() -> None:
    """The goal says which end is better."""
    trials = {(0, 0): Trial(True, 0.2), (0, 1): Trial(True, 0.7)}
    assert best(plan(2, goal="highest"), trials) == (0, 1)
    assert best(plan(2), trials) == (0, 0)


@given(st.integers(1, 20), st.integers(1, MAX_RUNGS), st.integers(0, 1000), st.integers(1, 4))
def test_every_search_ends_whatever_fails(count: int, rungs: int, seed: int, wide: int) -> None:
    """Each place is started once, in order, and never more than planned."""
    chance = random.Random(seed)  # noqa: S311
    whole, trials = plan(count, rungs), dict[Place, Trial]()
    for _ in range(1000):
        if is_over(whole, trials):
            break
        running = [place for place, trial in trials.items() if not trial.ended]
        if running and (chance.random() < 0.5 or len(running) >= wide):
            value = chance.uniform(0, 5) if chance.random() < 0.8 else None
            trials[chance.choice(running)] = Trial(True, value)
        elif waiting := due(whole, trials):
            assert waiting[0] not in trials
            trials[waiting[0]] = Trial(False)
    assert is_over(whole, trials)
    assert len(trials) <= whole.places
