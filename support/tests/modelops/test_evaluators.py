"""Scores of one run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import (
    EVALUATORS,
    Expectation,
    ModelAnswer,
    Step,
    ToolCall,
    accuracy,
    agent_routing_accuracy,
    choose_metrics,
    expectation,
    latency_threshold,
    mcp_integration_quality,
    risk_assessment_accuracy,
    score,
    score_failed_call,
    token_efficiency,
    workflow_completeness,
)
from agent_orchestrator.errors import DatasetError, InputError


def run(text: str = "", **recorded: object) -> ModelAnswer:
    """Return a run that recorded nothing but what is given."""
    return ModelAnswer(text=text, **recorded)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expected", "answer", "score"),
    [
        ("clean", "clean", 1.0),
        ("clean", "  Clean\n", 1.0),
        ("bare except", "bare\t except", 1.0),
        ("ﬁne", "fine", 1.0),
        ("clean", "clean.", 0.0),
        ("clean", "not clean", 0.0),
        ("clean", "The answer is: clean", 0.0),
        ("clean", "", 0.0),
        (None, "anything", None),
    ],
)
def test_accuracy_is_the_exact_match_of_the_normalised_answer(
    expected: str | None, answer: str, score: float | None
) -> None:
    """Case, width and white space make no difference; more words, or fewer, do."""
    assert accuracy(Expectation(answer=expected), run(answer)) == score


@pytest.mark.parametrize(
    ("target", "prompt", "completion", "score"),
    [
        (2000, 1000, 500, 1.0),
        (2000, 1900, 100, 1.0),
        (2000, 3000, 1000, 0.5),
        (100, 300, 100, 0.25),
        (2000, None, 100, None),
        (2000, 100, None, None),
        (2000, 0, 0, None),
        (None, 100, 100, None),
    ],
)
def test_token_efficiency_is_target_over_used(
    target: float | None, prompt: int | None, completion: int | None, score: float | None
) -> None:
    """min(1, target / (prompt + completion)); unknown usage has no score."""
    answer = run(prompt_tokens=prompt, completion_tokens=completion)
    assert token_efficiency(Expectation(target_tokens=target), answer) == score


@pytest.mark.parametrize(
    ("limit", "seconds", "score"),
    [
        (5.0, 0.0, 1.0),
        (5.0, 5.0, 1.0),
        (5.0, 10.0, 0.5),
        (5.0, 50.0, 0.1),
        (5.0, None, None),
        (None, 1.0, None),
    ],
)
def test_latency_threshold_is_limit_over_seconds(
    limit: float | None, seconds: float | None, score: float | None
) -> None:
    """min(1, limit / seconds); an unknown duration has no score."""
    assert latency_threshold(Expectation(latency_limit_s=limit), run(latency_s=seconds)) == score


@pytest.mark.parametrize(
    ("expected", "actual", "score"),
    [
        ({"cicd"}, {"cicd"}, 1.0),
        ({"cicd", "code_review"}, {"cicd"}, 0.5),
        ({"cicd"}, {"cicd", "code_review", "feature_dev", "documentation"}, 0.25),
        ({"cicd"}, {"feature_dev"}, 0.0),
        ({"cicd"}, set(), 0.0),
        ({"cicd"}, None, None),
        (set(), {"cicd"}, None),
        (None, {"cicd"}, None),
    ],
)
def test_routing_accuracy_is_the_jaccard_index(
    expected: set[str] | None, actual: set[str] | None, score: float | None
) -> None:
    """|expected ∩ actual| / |expected ∪ actual|; without either there is no score."""
    wanted = Expectation(agents=None if expected is None else frozenset(expected))
    answer = run(agents=None if actual is None else frozenset(actual))
    assert agent_routing_accuracy(wanted, answer) == score


@pytest.mark.parametrize(
    ("expected", "steps", "score"),
    [
        ({"plan", "code"}, (Step("plan", True), Step("code", True)), 1.0),
        ({"plan", "code"}, (Step("plan", True), Step("code", False)), 0.5),
        ({"plan", "code"}, (Step("code", False), Step("code", True)), 0.5),
        ({"plan"}, (Step("deploy", True),), 0.0),
        ({"plan"}, (), 0.0),
        ({"plan"}, None, None),
        (None, (Step("plan", True),), None),
    ],
)
def test_workflow_completeness_counts_expected_steps_that_succeeded(
    expected: set[str] | None, steps: tuple[Step, ...] | None, score: float | None
) -> None:
    """A step that succeeded on a retry succeeded; steps nobody expected add nothing."""
    wanted = Expectation(steps=None if expected is None else frozenset(expected))
    assert workflow_completeness(wanted, run(steps=steps)) == score


GOOD = ToolCall("read", succeeded=True, result_used=True)
UNUSED = ToolCall("read", succeeded=True, result_used=False)
PLAIN = ToolCall("read", succeeded=True)
HANDLED = ToolCall("read", succeeded=False, handled=True)
UNHANDLED = ToolCall("read", succeeded=False, handled=False)


@pytest.mark.parametrize(
    ("calls", "score"),
    [
        ((GOOD, GOOD), 1.0),  # no failure: ½ and ¼ renormalised
        ((GOOD, UNUSED), (0.5 + 0.25 * 0.5) / 0.75),
        ((GOOD, HANDLED), 0.5 * 0.5 + 0.25 + 0.25),
        ((GOOD, UNUSED, HANDLED, UNHANDLED), 0.5 * 0.5 + 0.25 * 0.5 + 0.25 * 0.5),
        ((UNHANDLED,), 0.0),
        ((HANDLED,), 0.25 / 0.75),
        ((PLAIN,), 1.0),  # nobody recorded whether the result was used
        ((), None),
        (None, None),
    ],
)
def test_tool_use_is_a_weighted_mean_of_the_parts_that_occur(
    calls: tuple[ToolCall, ...] | None, score: float | None
) -> None:
    """½ succeeded + ¼ used + ¼ handled, renormalised over what there was to judge."""
    found = mcp_integration_quality(Expectation(), run(tool_calls=calls))
    assert found == (score if score is None else pytest.approx(score))


@pytest.mark.parametrize(
    ("required", "asked", "score"),
    [
        (True, True, 1.0),
        (False, False, 1.0),
        (False, True, 0.5),
        (True, False, 0.0),
        (None, True, None),
        (True, None, None),
    ],
)
def test_risk_assessment_forgives_needless_questions_by_half(
    required: bool | None, asked: bool | None, score: float | None
) -> None:
    """Asking exactly when required is right; asking needlessly costs half, not asking all."""
    wanted = Expectation(approval_required=required)
    assert risk_assessment_accuracy(wanted, run(approval_asked=asked)) == score


def test_words_in_the_answer_score_nothing() -> None:
    """An answer that talks of steps, tools, agents and approval has only an accuracy."""
    wanted = Expectation(
        answer="x",
        agents=frozenset({"cicd"}),
        steps=frozenset({"plan"}),
        approval_required=True,
    )
    boast = run("workflow complete: plan done, cicd called the tool, approval asked, ok")
    assert score(wanted, boast) == {"accuracy": 0.0}


def test_a_failed_call_is_wrong_and_nothing_else() -> None:
    """A failed call counts against accuracy where accuracy is measured; nothing is made up."""
    wanted = Expectation(answer="x", target_tokens=10, latency_limit_s=1)
    assert score_failed_call(wanted, EVALUATORS) == {"accuracy": 0.0}
    assert score_failed_call(wanted, ["token_efficiency"]) == {}
    assert score_failed_call(Expectation(), EVALUATORS) == {}


maybe_bool = st.none() | st.booleans()
names = st.frozensets(st.sampled_from(["plan", "code", "test", "cicd"]))
answers = st.builds(
    ModelAnswer,
    text=st.text(),
    latency_s=st.none() | st.floats(0, 1e9, allow_subnormal=True),
    prompt_tokens=st.none() | st.integers(0, 10**9),
    completion_tokens=st.none() | st.integers(0, 10**9),
    agents=st.none() | names,
    steps=st.none()
    | st.lists(st.builds(Step, st.sampled_from(["plan", "code"]), st.booleans())).map(tuple),
    tool_calls=st.none()
    | st.lists(st.builds(ToolCall, st.text(), st.booleans(), maybe_bool, maybe_bool)).map(tuple),
    approval_asked=maybe_bool,
)
positive = st.floats(1e-6, 1e9)
expectations = st.builds(
    Expectation,
    answer=st.none() | st.text(),
    target_tokens=st.none() | positive,
    latency_limit_s=st.none() | positive,
    agents=st.none() | names,
    steps=st.none() | names,
    approval_required=maybe_bool,
)


@given(expectations, answers)
def test_every_score_lies_between_0_and_1(wanted: Expectation, answer: ModelAnswer) -> None:
    """Whatever a run recorded, a score is absent or in 0..1."""
    assert all(0.0 <= value <= 1.0 for value in score(wanted, answer).values())


@given(positive, st.integers(1, 10**6), st.integers(1, 10**6))
def test_fewer_tokens_never_score_less(target: float, used: int, more: int) -> None:
    """Token efficiency does not fall when fewer tokens are used."""
    wanted = Expectation(target_tokens=target)
    lean = token_efficiency(wanted, run(prompt_tokens=used, completion_tokens=0))
    fat = token_efficiency(wanted, run(prompt_tokens=used, completion_tokens=more))
    assert lean is not None
    assert fat is not None
    assert lean >= fat


def test_targets_of_the_example_come_before_the_configuration() -> None:
    """Metadata sets its own targets; what it leaves out comes from the configuration."""
    example = Example(
        id="e",
        inputs={"task": "t"},
        outputs={"answer": "a"},
        metadata={
            "target_tokens": 50,
            "expected_agents": ["cicd"],
            "expected_steps": ["plan"],
            "approval_required": False,
        },
    )
    assert expectation(example, target_tokens=2000, latency_limit_s=5) == Expectation(
        answer="a",
        target_tokens=50,
        latency_limit_s=5,
        agents=frozenset({"cicd"}),
        steps=frozenset({"plan"}),
        approval_required=False,
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("target_tokens", "many"),
        ("target_tokens", 0),
        ("target_tokens", True),
        ("latency_limit_s", float("inf")),
        ("expected_agents", "cicd"),
        ("expected_steps", [1]),
        ("approval_required", "yes"),
    ],
)
def test_a_wrong_target_is_refused_by_name(key: str, value: object) -> None:
    """A target of the wrong type is an error that names example and key, not a default."""
    example = Example(id="e7", inputs={"task": "t"}, outputs={}, metadata={key: value})
    with pytest.raises(DatasetError, match=rf"'e7', column 'metadata\.{key}'"):
        expectation(example, target_tokens=1, latency_limit_s=1)


def test_metrics_are_chosen_by_name() -> None:
    """No names mean all; doubles count once; an unknown name lists the known ones."""
    assert choose_metrics([]) == tuple(EVALUATORS)
    assert choose_metrics(["accuracy", "accuracy"]) == ("accuracy",)
    with pytest.raises(InputError, match=r"Unknown metric 'style'.*Known: accuracy"):
        choose_metrics(["style"])


def test_the_guide_has_every_metric_once_with_its_formula() -> None:
    """A row of its table for each evaluator, and none for others."""
    guide = Path(__file__).parents[2] / "docs" / "EVALUATION_GUIDE.md"
    table = guide.read_text("utf-8").split("## What is measured")[1].split("\n\n")[2]
    assert sorted(re.findall(r"^\| `(\w+)` ", table, re.MULTILINE)) == sorted(EVALUATORS)
