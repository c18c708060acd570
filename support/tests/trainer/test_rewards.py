"""What answers are worth."""

import json

import pytest

from agent_orchestrator.trainer.rewards import (
    code_of,
    exact_match,
    json_schema,
    python_tests,
    reward,
)
from agent_orchestrator.trainer.sandbox import Limits

LIMITS = Limits(seconds=10)
TESTS = "assert double(2) == 4\nassert double(-1) == -2"


def said(*answers: str) -> list[list[dict[str, str]]]:
    """Return answers as TRL hands them over."""
    return [[{"role": "assistant", "content": answer}] for answer in answers]


def test_an_exact_match_forgives_case_and_white_space():
    """And nothing else."""
    assert exact_match(" Bare  except\n", "bare except") == 1
    assert exact_match("bare except.", "bare except") == 0


def test_json_is_rewarded_when_its_schema_allows_it():
    """Not for being JSON alone, and never for what is no JSON."""
    schema = json.dumps({"type": "object", "required": ["agent"]})
    assert json_schema('{"agent": "cicd"}', schema) == 1
    assert json_schema('{"other": 1}', schema) == 0
    assert json_schema("agent: cicd", schema) == 0


@pytest.mark.parametrize(
    ("answer", "worth"),
    [
        ("def double(x):\n    return 2 * x", 1),
        ("Here it is:\n```python\ndef double(x):\n    return x + x\n```\nDone.", 1),
        ("def double(x):\n    return x * x", 0),
        ("I cannot do that.", 0),
        ("import sys\nsys.exit(0)", 0),
        ("import os\nos._exit(0)", 0),
    ],
)
def test_code_is_rewarded_when_it_passes_the_tests(answer: str, worth: float):
    """Ending the process before they have run is no way to pass."""
    assert python_tests(answer, TESTS, LIMITS) == worth


def test_the_code_of_an_answer_is_what_stands_in_fences():
    """All of it, when there are none."""
    assert code_of("a\n```py\nx = 1\n```\nb\n```\ny = 2\n```") == "x = 1\n\n\ny = 2\n"
    assert code_of("x = 1") == "x = 1"


def test_a_reward_knows_whether_it_was_ever_earned():
    """A row that does not say how to judge it has none."""
    judge = reward("exact_match", LIMITS)
    assert judge(said("no", "no"), solution=["yes", None]) == [0.0, None]
    assert not judge.paid
    assert judge(said("yes"), solution=["yes"]) == [1.0]
    assert judge.paid
    assert judge(said("yes")) == [None]
