"""The final answer of a text that reasons first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import (
    ModelAnswer,
    expectation,
    score,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.final_answers import (
    final_answer,
    is_right,
)
from agent_orchestrator.errors import DatasetError


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Answer: 42", "42"),
        ("answer = 42.", "42"),
        ("So it is 7.\n**Final answer:** `the store`", "the store"),
        ("> **Answer**: 1,000", "1,000"),
        ("Answer: 1\nNo, wait.\nThe answer: 2", "2"),
        ("42", "42"),
        ("It is 42,\nI am sure.", None),
        ("Answer:\nforty-two", None),
        ("", None),
    ],
)
def test_the_last_answer_line_counts(text: str, answer: str | None):
    """Emphasis and quotes fall away; reasoning without such a line has no final answer."""
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Answer: 1000", True),
        ("Answer: 1,000.0", True),
        ("Answer: $1000$", True),
        ("Answer: 1000 runs", False),
        ("Answer: 10000", False),
        ("Answer: 1, 10, 100, 1000", False),
        ("The value 1000 comes up.\nAnswer: 999", False),
        ("I say 1000, 1000 and 1000,\nreally.", False),
    ],
)
def test_numbers_are_compared_by_value_and_only_in_the_final_answer(text: str, right: bool):
    """Mentioning the right number, or listing all there are, is not giving it."""
    assert is_right(text, ["1000"]) is right


def test_an_accepted_word_is_right_in_any_case():
    """One of several spellings, alone."""
    assert is_right("Reasoning.\nAnswer: Stack Trace", ["traceback", "stack trace"])
    assert not is_right("Answer: traceback or stack trace", ["traceback", "stack trace"])


def test_an_example_chooses_how_it_is_checked():
    """``check: final_answer`` reads the last line; without it the whole text counts."""
    outputs, reasoned = {"answer": "8"}, ModelAnswer(text="4 + 4.\nAnswer: 8")
    targets = {"target_tokens": 1.0, "latency_limit_s": 1.0}
    strict = Example(id="e", inputs={"task": "t"}, outputs=outputs)
    free = Example(
        id="e", inputs={"task": "t"}, outputs=outputs, metadata={"check": "final_answer"}
    )
    assert score(expectation(strict, **targets), reasoned)["accuracy"] == 0.0
    assert score(expectation(free, **targets), reasoned)["accuracy"] == 1.0
    wrong = Example(id="e", inputs={"task": "t"}, outputs=outputs, metadata={"check": "keywords"})
    with pytest.raises(DatasetError, match=r"metadata\.check"):
        expectation(wrong, **targets)


@given(st.text(), st.text(min_size=1))
def test_any_text_has_a_final_answer_or_none(text: str, right: str):
    """Nothing raises, and an answer line alone decides."""
    assert is_right(text, [right]) in {True, False}
    said = final_answer(f"{text}\nAnswer: 17")
    assert said == "17"
