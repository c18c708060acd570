"""Checks of code that a model wrote, in the real sandbox and with the real ruff."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.evaluation.code_checks import (
    compiles,
    lint_score,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import (
    ModelAnswer,
    expectation,
    score,
)
from agent_orchestrator.errors import DatasetError

DOUBLE = "def double(x):\n    return 2 * x\n"
TESTS = "assert double(2) == 4\nassert double('a') == 'aa'"
TASK = Example(id="e", inputs={"task": "double"}, outputs={"code": DOUBLE, "tests": TESTS})


def scores(answer: str, task: Example = TASK) -> dict[str, float]:
    """Return an answer's code scores and its accuracy."""
    wanted = expectation(task, target_tokens=1, latency_limit_s=1)
    return score(wanted, ModelAnswer(text=answer))


@pytest.mark.parametrize("answer", [DOUBLE, f"Here it is:\n```python\n{DOUBLE}```\nIt doubles."])
def test_right_code_compiles_lints_and_passes(answer: str):
    """Bare, or in a fence among words: only what is fenced counts."""
    found = scores(answer)
    assert found == dict.fromkeys(("accuracy", *CODE), 1.0)


CODE = ("code_compiles", "code_lints", "code_passes_tests")


@pytest.mark.parametrize(
    ("answer", "compiles", "passes"),
    [
        ("def double(x):\n    return x * x\n", 1.0, 0.0),
        ("def double(x:\n", 0.0, 0.0),
        ("", 0.0, 0.0),
        ("import sys\nsys.exit(0)\n", 1.0, 0.0),
        ("def double(x):\n    while True: pass\n", 1.0, 0.0),
        ("This code compiles, lints and passes all its tests: assert double(2) == 4.", 0.0, 0.0),
    ],
)
def test_code_that_is_wrong_passes_nothing(answer: str, compiles: float, passes: float):
    """Wrong results, no syntax, an early exit, no end, or words about passing."""
    wanted = expectation(TASK, target_tokens=1, latency_limit_s=1)
    quick = wanted.sandbox.model_copy(update={"seconds": 2.0})
    found = score(replace(wanted, sandbox=quick), ModelAnswer(text=answer))
    assert (found["code_compiles"], found["code_passes_tests"]) == (compiles, passes)
    assert found["accuracy"] == passes


def test_lint_counts_findings_a_line():
    """One unused import in four lines costs a quarter; nothing is below 0."""
    assert lint_score(f"import os\n\n{DOUBLE}\nx = 1\n") == pytest.approx(0.75)
    assert lint_score("print(a, b, c)\n") == 0.0
    assert lint_score("def (") == 0.0


def test_what_asks_for_no_code_has_no_code_scores():
    """A riddle's answer is not linted."""
    task = Example(id="e", inputs={"task": "t"}, outputs={"answer": "7"})
    assert scores("7", task) == {"accuracy": 1.0}


def test_tests_that_are_no_text_are_refused():
    """The example and the column are named."""
    task = Example(id="e9", inputs={"task": "t"}, outputs={"tests": ["assert True"]})
    with pytest.raises(DatasetError, match=r"'e9', column 'outputs\.tests'"):
        scores("x", task)


@given(st.text())
def test_any_text_can_be_asked_whether_it_compiles(text: str):
    """Null bytes, half surrogates and deep nesting are answers like others."""
    assert compiles(text) in {True, False}
    assert not compiles("(" * 5000)
