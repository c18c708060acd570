"""Arms against a baseline: what counts as one observation, and what is compared."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.evaluation import CallRecord
from agent_orchestrator.domain.experiments import (
    PREFERRED,
    Arm,
    ArmRun,
    accuracy_by_category,
    contrasts,
    summary,
)


def run(name: str, scores: Sequence[Sequence[float | None]], **changes: object) -> ArmRun:
    """Return an arm's run: a row of accuracies for each example; None is a failed call."""
    calls = [
        CallRecord(
            example_id=f"e{example}",
            group=f"e{example}",
            category="even" if example % 2 == 0 else "odd",
            expected="x",
            answer=None if score is None else "x",
            latency_s=None if score is None else 0.5,
            error="busy" if score is None else None,
            scores={"accuracy": score or 0.0},
        )
        for example, row in enumerate(scores)
        for score in row
    ]
    arm = Arm("org/model", name)
    return ArmRun(arm=arm, calls=calls, cost_usd=None, **changes)  # type: ignore[arg-type]


BASE = run("base", [[0.0], [1.0], [0.0], [0.0], [1.0], [0.0]])
BETTER = run("better", [[1.0], [1.0], [1.0], [0.0], [1.0], [1.0]])


def test_asking_more_often_feigns_no_certainty() -> None:
    """Ten identical repetitions of every example give the interval of one."""
    once = contrasts(BASE, [BETTER], ["accuracy"])
    ten = contrasts(
        run("base", [[float(c.scores["accuracy"])] * 10 for c in BASE.calls]),
        [run("better", [[float(c.scores["accuracy"])] * 10 for c in BETTER.calls])],
        ["accuracy"],
    )
    assert ten[0].difference == pytest.approx(once[0].difference) == pytest.approx(0.5)
    assert ten[0].interval == pytest.approx(once[0].interval)
    assert summary(ten_times := run("t", [[1.0] * 10, [0.0] * 10])).calls == 20
    assert summary(ten_times).scores["accuracy"].interval == (0.0, 1.0)  # cut at both ends


def test_an_arm_that_failed_too_often_is_not_compared() -> None:
    """More than a tenth of its calls; a baseline that did leaves nothing to compare."""
    broken = run("broken", [[None], [None], [1.0], [1.0], [1.0], [1.0]])
    assert summary(broken).compared is False
    assert summary(broken).failed_calls == 2
    assert contrasts(BASE, [broken], ["accuracy"]) == []
    assert contrasts(broken, [BASE], ["accuracy"]) == []
    assert summary(run("fine", [[None], *[[1.0]] * 5])).compared is True


def test_a_preference_is_compared_with_indifference() -> None:
    """One that is always for the arm is +0.5; one that sways settles nothing."""
    verdicts = {f"e{n}": [1.0, 0.5 + 0.1 * n] for n in range(5)}
    liked = run("liked", [[1.0]] * 6, preferences=verdicts)
    found = contrasts(BASE, [liked], [PREFERRED])[0]
    assert found.metric == PREFERRED
    assert found.difference == pytest.approx(0.35)
    assert found.supported is True
    assert summary(liked).scores[PREFERRED].n == 10
    swaying = run("swaying", [[1.0]] * 6, preferences={"e0": [1.0], "e1": [0.0], "e2": [0.5]})
    assert contrasts(BASE, [swaying], [PREFERRED])[0].supported is False
    assert contrasts(BASE, [run("none", [[1.0]] * 6)], [PREFERRED]) == []


def test_more_arms_make_each_comparison_wider() -> None:
    """They are one family."""
    alone = contrasts(BASE, [BETTER], ["accuracy"])[0]
    copies = [run(f"copy {n}", [[c.scores["accuracy"]] for c in BETTER.calls]) for n in range(9)]
    crowded = contrasts(BASE, [BETTER, *copies], ["accuracy"])[0]
    assert crowded.p_value == alone.p_value
    assert crowded.p_adjusted == pytest.approx(10 * alone.p_value)
    assert crowded.interval[0] < alone.interval[0]


def test_categories_are_of_those_that_have_an_accuracy() -> None:
    """Each with every arm's mean."""
    found = accuracy_by_category([BASE, BETTER])
    assert found["even"] == {"org/model · base": pytest.approx(1 / 3), "org/model · better": 1.0}
    assert list(found) == ["even", "odd"]


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=40
    )
)
def test_turning_the_comparison_round_turns_its_sign(pairs: list[tuple[float, float]]) -> None:
    """Whoever is called the baseline, the evidence is the same."""
    one, other = run("one", [[a] for a, _ in pairs]), run("other", [[b] for _, b in pairs])
    there, back = contrasts(one, [other], ["accuracy"])[0], contrasts(other, [one], ["accuracy"])[0]
    assert there.difference == pytest.approx(-back.difference)
    assert there.p_value == pytest.approx(back.p_value)
    assert there.supported == back.supported
