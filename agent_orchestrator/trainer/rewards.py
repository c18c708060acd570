"""Rewards of GRPO: what an answer to a problem is worth, 0 to 1, found out by running or comparing.

====================  ==========================================================================
``exact_match``       the answer is the row's ``solution``, but for case and white space
``json_schema``       the answer is JSON that the row's ``schema`` (JSON Schema) allows
``python_tests``      the answer's Python passes the row's ``tests``, statements that raise nothing
====================  ==========================================================================

A row that lacks the column has no such reward; every row needs one of those that were asked for.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.trainer import remote, sandbox
from agent_orchestrator.trainer.diagnosis import Refused

Answer = Sequence[Mapping[str, str]]
"""A conversation's last turn, as TRL hands it over."""

COLUMNS: Final[Mapping[str, str]] = {
    "exact_match": "solution",
    "json_schema": "schema",
    "python_tests": "tests",
}
"""Reward → the column of a row that it needs."""
_REMOTE: Final = Path(remote.__file__).read_text(encoding="utf-8") + "\n"
_FENCED: Final = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)


class Reward:
    """One reward as TRL calls it; ``paid`` says whether any answer has earned it."""

    def __init__(self, name: str, score: Callable[[str, Any], float]) -> None:
        self.__name__ = name
        self.paid = False
        self._score = score
        self._column = COLUMNS[name]

    def __call__(self, completions: Sequence[Answer], **columns: Any) -> list[float | None]:
        """Return what each answer is worth; None where the row does not say how to tell."""
        wanted = columns.get(self._column) or [None] * len(completions)
        scores = [
            None if want is None else self._score(answer[-1]["content"], want)
            for answer, want in zip(completions, wanted, strict=True)
        ]
        self.paid |= any(scores)
        return scores


def reward(name: str, limits: sandbox.Limits) -> Reward:
    """Return the reward of that name. Raises KeyError for one that is none of ``COLUMNS``."""
    scores: Mapping[str, Callable[[str, Any], float]] = {
        "exact_match": exact_match,
        "json_schema": json_schema,
        "python_tests": lambda answer, tests: python_tests(answer, tests, limits),
    }
    return Reward(name, scores[name])


def exact_match(answer: str, solution: str) -> float:
    """Return 1 for the solution itself, else 0."""
    return float(_plain(answer) == _plain(solution))


def json_schema(answer: str, schema: str) -> float:
    """Return 1 for JSON that ``schema`` (a JSON text) allows, else 0."""
    from jsonschema import Draft202012Validator
    from referencing import Registry

    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return 0.0
    validator = Draft202012Validator(json.loads(schema), registry=Registry())  # fetches nothing
    return float(validator.is_valid(value))


def python_tests(answer: str, tests: str, limits: sandbox.Limits) -> float:
    """Return 1 when the answer's Python passes ``tests``, else 0.

    The Python is what stands in fences, else the whole answer. Tests and answer run in a sandbox
    each, with the same limits, joined by a socket (``remote.py``). Whether the tests have passed is
    the exit status of their own process. The answer cannot see the tests, write where they write,
    end or change their process, stand in for builtins, or return an object that equals everything.

    Not guarded against: answers that guess what weak tests expect (``assert check(x)`` is passed
    by returning True), that define a name which the tests forgot to define, or, with
    ``without_isolation``, that look for the other process. Raises Refused (``no_sandbox``).
    """
    answers_end, tests_end = socket.socketpair()
    with answers_end, tests_end, ThreadPoolExecutor(1) as other:
        holding = f"hold({answers_end.fileno()}, {code_of(answer)!r})"
        judging = f"judge({tests_end.fileno()}, {tests!r})"
        try:
            held = other.submit(sandbox.run, _REMOTE + holding, limits, answers_end)
            judged = sandbox.run(_REMOTE + judging, limits, tests_end)
            held.result()
        except sandbox.NoIsolationError as error:
            raise Refused(
                "no_sandbox",
                f"Generated code cannot be run: {error}",
                "Use a kernel with user namespaces and Landlock, or set sandbox.without_isolation.",
            ) from error
    return float(judged.ending == "passed")


def code_of(answer: str) -> str:
    """Return the Python of an answer: what stands in fences, else all of it."""
    fenced = _FENCED.findall(answer)
    return "\n\n".join(fenced) if fenced else answer


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
