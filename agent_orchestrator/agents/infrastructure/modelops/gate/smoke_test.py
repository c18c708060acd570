"""The checklist's first points: the candidate loads, answers, in the form asked for, in time."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import anyio

from agent_orchestrator.agents.infrastructure.modelops.gate.candidate_server import (
    Answer,
    CandidateServer,
    TimeLimits,
    attempt,
    chat,
    user,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import ChecklistItem
from agent_orchestrator.domain.latencies import latencies
from agent_orchestrator.domain.verdict import Verdict, worst
from agent_orchestrator.errors import ChefError, UpstreamError
from agent_orchestrator.serving.failures import is_refusal

BATCH = 8
_SHAPE = {
    "type": "object",
    "properties": {
        "answer": {"type": "string", "minLength": 1},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["answer", "confidence"],
    "additionalProperties": False,
}
_STRUCTURED = chat(
    user(
        "Is 7 a prime number? Answer with a JSON object of two keys: answer, a text, and "
        "confidence, a number from 0 to 1."
    ),
    response_format={
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": _SHAPE},
    },
)


async def smoke_test(
    server: CandidateServer, prompts: Sequence[str], latency_limit_s: float, limits: TimeLimits
) -> list[ChecklistItem]:
    """Ask one prompt, then for JSON of a given shape, then ``BATCH`` prompts at once.

    ``prompts`` are repeated. The first call may take long (the server loads the model then), so
    only the batch is held against ``latency_limit_s``. Stops at the first point that fails: the
    later ones need it.
    """
    started = time.monotonic()
    first = await attempt(server.ask(chat(user(prompts[0]))), limits.load)
    if isinstance(first, UpstreamError):
        return [does_not_load(first)]
    loading = time.monotonic() - started
    items = [
        ChecklistItem(
            name="loads",
            verdict=Verdict.PASS,
            message=f"First answer after {loading:.2f} s.",
            measured={"seconds": loading},
        ),
        _answers(first),
        _valid([first]),
    ]
    if worst(item.verdict for item in items) is Verdict.FAIL:
        return items
    items.append(await _structured(server, limits.call))
    return items + await _batch(server, prompts, latency_limit_s, limits.call)


def does_not_load(error: ChefError) -> ChecklistItem:
    """Return the finding that nothing answers for the candidate."""
    return ChecklistItem(name="loads", verdict=Verdict.FAIL, message=str(error))


def _answers(answer: Answer) -> ChecklistItem:
    answered = bool(answer.text.strip())
    return ChecklistItem(
        name="answers",
        verdict=Verdict.PASS if answered else Verdict.FAIL,
        message=f"Said {answer.text[:60]!r}." if answered else "The answer was empty.",
    )


def _valid(answers: Sequence[Answer], name: str = "valid output") -> ChecklistItem:
    valid = sum(answer.valid_output for answer in answers)
    return ChecklistItem(
        name=name,
        verdict=Verdict.PASS if 0 < valid == len(answers) else Verdict.FAIL,
        message=f"{valid} of {len(answers)} answers were valid.",
        measured={"valid": valid, "answers": len(answers)},
    )


async def _structured(server: CandidateServer, limit_s: float) -> ChecklistItem:
    found = await attempt(server.ask(_STRUCTURED), limit_s)
    verdict, message = _judge_structured(found)
    return ChecklistItem(name="structured output", verdict=verdict, message=message)


def _judge_structured(found: Answer | UpstreamError) -> tuple[Verdict, str]:
    """Judge the answer to a request for JSON of a given shape.

    Many servers take no ``response_format``, or take it and ignore it: that says nothing about the
    model. JSON of another shape, or with a NaN in it, does.
    """
    if isinstance(found, UpstreamError):
        if is_refusal(found):
            return Verdict.INCONCLUSIVE, f"It takes no response_format: {found.message}"
        return Verdict.FAIL, found.message
    said = f"{found.text[:60]!r}"
    if found.valid_output:
        return Verdict.PASS, f"JSON of the shape that was asked for: {said}."
    if _is_some_json(found.text):
        return Verdict.FAIL, f"JSON, but not of the shape that was asked for: {said}."
    return Verdict.INCONCLUSIVE, f"Asked for JSON by its response_format, it said {said}."


def _is_some_json(text: str) -> bool:
    """Return whether ``text`` is JSON as Python reads it: also with NaN and the infinities."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


async def _batch(
    server: CandidateServer, prompts: Sequence[str], latency_limit_s: float, call_limit_s: float
) -> list[ChecklistItem]:
    answers: list[Answer] = []
    seconds: list[float] = []
    failures: list[str] = []

    async def one(prompt: str) -> None:
        started = time.monotonic()
        found = await attempt(server.ask(chat(user(prompt))), call_limit_s)
        seconds.append(time.monotonic() - started)
        if isinstance(found, UpstreamError):
            failures.append(str(found))
        else:
            answers.append(found)

    async with anyio.create_task_group() as tasks:
        for index in range(BATCH):
            tasks.start_soon(one, prompts[index % len(prompts)])
    return [
        ChecklistItem(
            name="batch",
            verdict=Verdict.FAIL if failures else Verdict.PASS,
            message=failures[0] if failures else f"{BATCH} prompts at once, all answered.",
            measured={"answered": len(answers), "asked": BATCH},
        ),
        _valid(answers, name="valid batch"),
        _latency(seconds, latency_limit_s),
    ]


def _latency(seconds: Sequence[float], limit_s: float) -> ChecklistItem:
    found = latencies(seconds)
    slowest = max(seconds)
    return ChecklistItem(
        name="latency",
        verdict=Verdict.PASS if slowest <= limit_s else Verdict.FAIL,
        message=(
            f"p50 {found.p50:.2f} s, p95 {found.p95:.2f} s, p99 {found.p99:.2f} s of {BATCH} at "
            f"once; limit {limit_s:g} s."
        ),
        measured={
            "p50_s": found.p50,
            "p95_s": found.p95,
            "p99_s": found.p99,
            "slowest_s": slowest,
            "limit_s": limit_s,
        },
    )
