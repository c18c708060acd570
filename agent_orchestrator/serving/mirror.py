"""Copies of requests for arms that are only looked at (a shadow), off the requests' path.

A request is mirrored once its answer is served, so that nothing a mirror does can delay, change or
fail it, and so that the two answers make a pair. The mirror leaves an Outcome of role "mirror" and,
where the judge makes a statement, a preference. Pairs are judged against the stable arm only: that
is what a preference is read as.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from agent_orchestrator.domain.answers import Said
from agent_orchestrator.domain.outcomes import Feedback
from agent_orchestrator.domain.routing import Arm, mirrored_arms
from agent_orchestrator.serving.background import Background
from agent_orchestrator.serving.call import Call
from agent_orchestrator.serving.completion import unstreamed
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.judge import Judge, ModelJudge, TextJudge

_SOURCE = "judge"


class Mirrors:
    """Sends requests to the arms that mirror them, as far as ``background`` has room."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self.undecided = 0
        """Pairs about which the judge made no statement."""

    @property
    def running(self) -> int:
        """Mirrors under way, with an ensemble's late members."""
        return self._background.running

    @property
    def dropped(self) -> int:
        """Mirrors that were left out because too many were under way."""
        return self._background.dropped

    def wanted(self, call: Call) -> bool:
        """Return whether the request will be mirrored if a mirror has room."""
        return bool(call.route.mirrored and self._arms(call))

    def offer(
        self, call: Call, served_by: Arm, body: Mapping[str, Any], served: Said | None
    ) -> None:
        """Mirror a request that ``served_by`` has answered; returns at once.

        ``served`` is that answer, None when it cannot be compared.
        """
        tried = {served_by.name} | {outcome.arm for outcome in call.request.failed}
        pair = served if served_by is call.route.arms[0] else None
        for arm in self._arms(call):
            if arm.name not in tried and self._background.has_room():
                work = self._mirror(call, arm, unstreamed(body), pair)
                self._background.start(work, f"mirror of {call.request.id} to {arm.name}")

    def _arms(self, call: Call) -> tuple[Arm, ...]:
        route, task_id = call.route, call.request.task_id
        return mirrored_arms(route.mirrored, task_id, route.rollout_id or route.agent)

    async def _mirror(
        self, call: Call, arm: Arm, body: Mapping[str, Any], served: Said | None
    ) -> None:
        attempt = call.attempt(arm, "mirror")
        if not attempt.is_permitted():
            return
        try:
            completion = await call.ask(attempt, body)
        except UpstreamFailure:  # the request is at fault: it says nothing about the arm
            return
        if completion is None or served is None:
            return
        score = await judge_of(call).compare(body, served, completion.said)
        if score is None:
            self.undecided += 1
            return
        call.tools.recorder.record_feedback(
            Feedback(
                call.request.id, score, _SOURCE, call.tools.clock(), "preference", arm=arm.name
            )
        )


def judge_of(call: Call) -> Judge:
    """Return who compares the answers of this call's rollout."""
    return model_judge_of(call) or TextJudge()


def model_judge_of(call: Call) -> ModelJudge | None:
    """Return the rollout's judge model, None when it has none."""
    model = call.route.judge
    if model is None:
        return None
    return ModelJudge(partial(call.upstream.complete, call.route.table.endpoint(model)))
