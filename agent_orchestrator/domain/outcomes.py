"""What happened to one attempt at one request: the raw material of every verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ErrorKind = Literal["timeout", "connection", "status", "protocol", "breaker_open", "cut_off"]
NoAnswer = Literal[ErrorKind, "abandoned"]
"""Why an attempt brought no answer. One that was abandoned is not the arm's error: nobody waited
for it any more, because the client had left, its time was over, or this process ended."""
Role = Literal["serve", "mirror", "member"]
"""What an attempt was for: to answer the request, to be looked at only (a shadow), or to be one
voice of several (an ensemble)."""
FeedbackKind = Literal["quality", "preference"]
"""A judgement on the answer itself, or on one arm's answer beside the one that was served."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt at one request on one arm. ``(request_id, attempt)`` is unique.

    A request that failed over leaves one outcome per attempt: the failure still counts against
    the arm that failed.
    """

    request_id: str
    attempt: int
    """0 for the arm that was chosen, 1, 2 … for failovers, then for mirrors and members."""
    at: float
    """When the attempt ended, seconds since the epoch."""
    agent: str
    task_id: str
    model: str
    arm: str
    """Arm name; ``fallback`` for a model of the fallback chain."""
    version: str | None
    rollout_id: str | None
    """None when no rollout ran."""
    latency_ms: float
    """Whole attempt, from sending to the last byte, milliseconds; of an abandoned one what had
    passed until then: the answer would have taken longer (a censored latency)."""
    error: NoAnswer | None = None
    """None when the upstream answered."""
    valid_output: bool | None = None
    """Whether the answer passed output validation; None when there was no answer."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    role: Role = "serve"


@dataclass(frozen=True, slots=True)
class Feedback:
    """A judgement on a finished request, given later by its request id."""

    request_id: str
    score: float
    """0 (bad) .. 1 (good)."""
    source: str
    """Who judged: ``user``, ``tests``, ``review``, …"""
    at: float
    """Seconds since the epoch."""
    kind: FeedbackKind = "quality"
    """A preference is 1 when the arm's answer is better than the served one, 0.5 for a tie."""
    arm: str | None = None
    """Whose answer was judged; None for the arm that served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A feedback joined with the attempt that produced the answer, in ingestion order."""

    seq: int
    outcome_seq: int
    """Place of the judged attempt among the outcomes: feedback may come steps later."""
    arm: str
    version: str | None
    score: float
    at: float
    kind: FeedbackKind = "quality"
    after_outcome: int = 0
    """Place of the last outcome, of any rollout, that was there when it came."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An outcome with its place in ingestion order."""

    seq: int
    outcome: Outcome
