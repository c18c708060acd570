"""The riddles that come with us: every answer is right, and a wrong one is not."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import math

import pytest

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import (
    ModelAnswer,
    expectation,
    score,
)
from agent_orchestrator.agents.infrastructure.modelops.experiments.plans import (
    RIDDLES_FILE,
    read_examples,
)

RIDDLES = read_examples(RIDDLES_FILE)
PROVED = [riddle for riddle in RIDDLES if "proof" in riddle.metadata]
CODED = [riddle for riddle in RIDDLES if "tests" in riddle.outputs]
#: Nothing else is there when a proof is computed.
_KNOWN = {
    "datetime": dt,
    "functools": functools,
    "itertools": itertools,
    "math": math,
}


def accuracy(riddle: Example, text: str) -> float:
    """Return whether an answer counts as right."""
    wanted = expectation(riddle, target_tokens=1, latency_limit_s=1)
    return score(wanted, ModelAnswer(text=text), ["accuracy"])["accuracy"]


def test_there_are_many_and_each_can_be_checked() -> None:
    """At least sixty, of several kinds, each proved by a computation or by tests."""
    assert len(RIDDLES) >= 60
    assert len(PROVED) + len(CODED) == len(RIDDLES)
    assert len(CODED) >= 8
    assert len({riddle.category for riddle in RIDDLES}) >= 10
    assert len({riddle.task for riddle in RIDDLES}) == len(RIDDLES)


@pytest.mark.parametrize("riddle", PROVED, ids=lambda riddle: riddle.id)
def test_the_answer_is_what_its_proof_computes(riddle: Example) -> None:
    """The proof is a Python expression that works the riddle out."""
    proof = eval(riddle.metadata["proof"], {"__import__": _KNOWN.__getitem__})  # noqa: S307
    assert str(proof) == riddle.outputs["answer"]


@pytest.mark.parametrize("riddle", PROVED, ids=lambda riddle: riddle.id)
def test_an_answer_counts_when_it_is_given_as_asked(riddle: Example) -> None:
    """With reasoning before it, in bold; not when it is only mentioned on the way."""
    right = riddle.outputs["answer"]
    assert accuracy(riddle, f"Let me see: not 4711.\n\n**Answer: {right}**") == 1.0
    assert accuracy(riddle, f"It might be {right}.\n\nAnswer: none of these") == 0.0
    assert accuracy(riddle, "") == 0.0


@pytest.mark.parametrize("riddle", CODED, ids=lambda riddle: riddle.id)
def test_the_solution_passes_and_an_empty_function_does_not(riddle: Example) -> None:
    """In the sandbox, as a model's answer would be."""
    solution = riddle.outputs["code"]
    assert accuracy(riddle, f"Here:\n```python\n{solution}```") == 1.0
    name = solution[solution.index("def ") + 4 :].split("(")[0]
    assert accuracy(riddle, f"def {name}(*_): pass") == 0.0
