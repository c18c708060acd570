"""The checklist's error scenarios: what goes wrong in traffic, provoked before there is any.

Each has an expected behaviour: a clear refusal (status 4xx) or a valid answer. A hang, a broken
connection, a status 5xx or a crash is a failure, and at the end the candidate must still answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent_orchestrator.agents.infrastructure.modelops.gate.candidate_server import (
    Answer,
    CandidateServer,
    TimeLimits,
    attempt,
    chat,
    user,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import ChecklistItem
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import UpstreamError
from agent_orchestrator.serving.failures import UpstreamFailure, is_refusal

_NO_MODEL = "no-such-owner/no-such-model"
_LONGEST_WORDS = 4_000_000
_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "read_file", "arguments": '{"path": "src/missing.py"}'},
}
_FILE_IS_MISSING = chat(
    user("Read src/missing.py and say what it does."),
    {"role": "assistant", "content": "", "tool_calls": [_CALL]},
    {
        "role": "tool",
        "tool_call_id": "call_1",
        "content": "Error: [Errno 2] No such file or directory: 'src/missing.py'",
    },
)

Finding = tuple[Verdict, str]


@dataclass(frozen=True, slots=True)
class _Scenario:
    """What is sent, and what an answer and a refusal mean then."""

    name: str
    send: Callable[[CandidateServer], Awaitable[Answer]]
    answered: Callable[[Answer], Finding]
    refused: Verdict = Verdict.PASS


async def error_scenarios(server: CandidateServer, limits: TimeLimits) -> list[ChecklistItem]:
    """Provoke each error in turn; then see that the candidate still answers."""
    items = [await _run(scenario, server, limits.call) for scenario in _SCENARIOS]
    items.append(await _oversized(server, limits.call))
    items.append(await _nobody(server, limits.call))
    items.append(await _still_answers(server, limits.call))
    return items


async def _run(scenario: _Scenario, server: CandidateServer, limit_s: float) -> ChecklistItem:
    found = await attempt(scenario.send(server), limit_s)
    if isinstance(found, UpstreamError):
        verdict, message = _failed(found, scenario.refused)
    else:
        verdict, message = scenario.answered(found)
    return ChecklistItem(name=scenario.name, verdict=verdict, message=message)


def _failed(error: UpstreamError, refused: Verdict) -> Finding:
    if is_refusal(error):
        return refused, f"Refused: {error.message}"
    if isinstance(error, UpstreamFailure) and error.kind == "status" and error.status is None:
        return Verdict.INCONCLUSIVE, error.message  # an error inside an answer with status 200
    return Verdict.FAIL, error.message


def _must_be_valid(answer: Answer) -> Finding:
    if answer.valid_output:
        return Verdict.PASS, f"Said {answer.text[:60]!r}."
    return Verdict.FAIL, "The answer was empty."


def _may_be_empty(answer: Answer) -> Finding:
    if answer.valid_output:
        return Verdict.PASS, f"Said {answer.text[:60]!r}."
    return Verdict.INCONCLUSIVE, "It said nothing, and refused nothing."


def _lenient(answer: Answer) -> Finding:
    return Verdict.INCONCLUSIVE, f"It refuses no malformed message: said {answer.text[:60]!r}."


def _any_name(_answer: Answer) -> Finding:
    return Verdict.INCONCLUSIVE, f"Its server answers to any name, also to {_NO_MODEL!r}."


_SCENARIOS = (
    # A server that takes no tools' messages says nothing about what the model makes of them.
    _Scenario(
        "tool error",
        lambda server: server.ask(_FILE_IS_MISSING),
        _must_be_valid,
        refused=Verdict.INCONCLUSIVE,
    ),
    _Scenario("empty message", lambda server: server.ask(chat(user(""))), _may_be_empty),
    _Scenario("malformed message", lambda server: server.ask(chat(user(42))), _lenient),
    _Scenario(
        "unknown model", lambda server: server.ask_other(_NO_MODEL, chat(user("Hello."))), _any_name
    ),
)


async def _oversized(server: CandidateServer, limit_s: float) -> ChecklistItem:
    words = server.oversized_tokens
    name = "oversized prompt"
    if words is None or words > _LONGEST_WORDS:
        message = "The length of its context is not known, and trying would cost money."
        if words is not None:
            message = f"Its context of about {words:,} tokens is too long to be tried."
        return ChecklistItem(name=name, verdict=Verdict.INCONCLUSIVE, message=message)
    body = chat(user("a " * words))
    scenario = _Scenario(name, lambda server: server.ask(body), _may_be_empty)
    item = await _run(scenario, server, limit_s)
    return item.model_copy(update={"measured": {"words": words}})


async def _nobody(server: CandidateServer, limit_s: float) -> ChecklistItem:
    """Our own side: that its server is down must be a clear failure, for the failover to see."""
    found = await attempt(server.ask_nobody(chat(user("Hello."))), limit_s)
    clear = isinstance(found, UpstreamFailure) and found.kind == "connection"
    message = found.message if isinstance(found, UpstreamError) else "Somebody answered."
    return ChecklistItem(
        name="upstream down", verdict=Verdict.PASS if clear else Verdict.FAIL, message=message
    )


async def _still_answers(server: CandidateServer, limit_s: float) -> ChecklistItem:
    scenario = _Scenario(
        "still answers",
        lambda server: server.ask(chat(user("Say hello."))),
        _must_be_valid,
        refused=Verdict.FAIL,
    )
    return await _run(scenario, server, limit_s)
