"""Several arms asked together: one answer by majority, or by a judge's choice.

Votes are the arms' weights; answers count as one when they say the same (``domain.answers``). A
tie goes to the task's own arm, so that a task which asks twice hears the same voice. A member that
fails, or whose answer is invalid while another's is valid, is left out. Each member leaves an
Outcome of role "member"; the ensemble leaves the request's first attempt, as arm "ensemble", which
feedback on the answer belongs to. Tokens stand with the members. An ensemble is not mirrored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_orchestrator.domain.answers import is_decided, majority
from agent_orchestrator.domain.outcomes import NoAnswer, Outcome
from agent_orchestrator.domain.routing import ENSEMBLE, Arm
from agent_orchestrator.serving.attempt import Attempt
from agent_orchestrator.serving.background import Background
from agent_orchestrator.serving.call import Call
from agent_orchestrator.serving.completion import Completion, unstreamed
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.judge import ModelJudge
from agent_orchestrator.serving.mirror import model_judge_of

_Voice = asyncio.Task[Completion | UpstreamFailure | None]


@dataclass(frozen=True, slots=True)
class Elected:
    """The ensemble's answer."""

    arm: Arm
    """Named "ensemble", with the model whose words they are."""
    completion: Completion


class Ensemble:
    """Asks the arms of an ensemble.

    Once one answer has more than half of the votes the others cannot change it: what they say is
    waited for in the ``background``, for their outcomes, or no longer if that has no room.
    """

    def __init__(self, background: Background) -> None:
        self._background = background

    async def answer(self, call: Call, body: Mapping[str, Any]) -> Elected | None:
        """Return the answer, None when every member failed or is kept out.

        Raises UpstreamFailure when no member answered and one finds fault with the request.
        """
        timer = call.tools.timer
        begun = timer()
        first = call.request.next_attempt()
        asked = unstreamed(body)
        judge = model_judge_of(call)
        voices = _ask_all(call, asked)
        try:
            answers = await self._hear(call, voices, wait_for_all=judge is not None)
            if not answers:
                kind = call.request.failed[-1].error if call.request.failed else None
                call.tools.recorder.record(_outcome(call, first, timer() - begun, None, kind))
                return None
            elected = await _elect(call, judge, asked, answers)
        except BaseException:  # nobody waits for the answer any more
            for voice in voices.values():
                voice.cancel()
            raise
        self._dismiss(voices)
        call.tools.recorder.record(_outcome(call, first, timer() - begun, elected, None))
        return Elected(Arm(ENSEMBLE, elected.model), elected)

    async def _hear(
        self, call: Call, voices: Mapping[str, _Voice], *, wait_for_all: bool
    ) -> dict[str, Completion]:
        """Return arm → its answer, in the arms' order; raises as ``answer``."""
        waiting: set[_Voice] = set(voices.values())
        heard: dict[str, Completion] = {}
        while waiting and (wait_for_all or not _is_decided(call, heard)):
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            done = {name: voice.result() for name, voice in voices.items() if voice.done()}
            heard = {name: said for name, said in done.items() if isinstance(said, Completion)}
        if not heard:
            for voice in voices.values():
                if isinstance(fault := voice.result(), UpstreamFailure):
                    raise fault
        return heard

    def _dismiss(self, voices: Mapping[str, _Voice]) -> None:
        """Leave nothing behind but what the background takes."""
        for voice in voices.values():
            if not voice.done():
                if self._background.has_room():
                    self._background.adopt(voice)
                else:
                    voice.cancel()


def _ask_all(call: Call, body: Mapping[str, Any]) -> dict[str, _Voice]:
    """Begin to ask every member that its breaker does not keep out; return arm → its task."""
    attempts = [call.attempt(arm, "member") for arm in call.route.voices]
    return {
        attempt.arm.name: asyncio.create_task(_ask(call, attempt, body))
        for attempt in attempts
        if attempt.is_permitted()
    }


async def _ask(
    call: Call, attempt: Attempt, body: Mapping[str, Any]
) -> Completion | UpstreamFailure | None:
    """Return the answer, the fault that was found with the request, or None for a failure."""
    try:
        return await call.ask(attempt, body)
    except UpstreamFailure as fault:
        return fault


async def _elect(
    call: Call, judge: ModelJudge | None, body: Mapping[str, Any], heard: Mapping[str, Completion]
) -> Completion:
    answers = _usable(heard)
    keys = {name: completion.said.key() for name, completion in answers.items()}
    first_with: dict[str, str] = {}
    for name, key in keys.items():
        first_with.setdefault(key, name)
    distinct = list(first_with.values())
    if judge is not None and len(distinct) > 1:
        best = await judge.pick(body, [answers[name].said for name in distinct])
        if best is not None:
            return answers[distinct[best]]
    own = call.route.own_arm(call.request.task_id).name
    return answers[majority(keys, _weights(call.route.voices), own)]


def _is_decided(call: Call, heard: Mapping[str, Completion]) -> bool:
    keys = {name: said.said.key() for name, said in heard.items() if said.valid_output}
    return is_decided(keys, _weights(call.route.voices))


def _usable(heard: Mapping[str, Completion]) -> Mapping[str, Completion]:
    valid = {name: completion for name, completion in heard.items() if completion.valid_output}
    return valid or heard


def _weights(voices: Sequence[Arm]) -> dict[str, int]:
    return {arm.name: arm.weight for arm in voices}


def _outcome(
    call: Call, number: int, seconds: float, elected: Completion | None, error: NoAnswer | None
) -> Outcome:
    """Return the outcome of the ensemble as a whole."""
    request = call.request
    return Outcome(
        request_id=request.id,
        attempt=number,
        at=call.tools.clock(),
        agent=request.agent,
        task_id=request.task_id,
        model=elected.model if elected else call.route.voices[0].model,
        arm=ENSEMBLE,
        version=None,
        rollout_id=request.rollout_id,
        latency_ms=seconds * 1000,
        error=error,
        valid_output=elected.valid_output if elected else None,
    )
