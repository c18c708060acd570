"""What happened to one attempt at one request: the raw material of every verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ErrorKind = Literal["timeout", "connection", "status", "protocol", "breaker_open", "cut_off"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt at one request on one arm. ``(request_id, attempt)`` is unique.

    A request that failed over leaves one outcome per attempt: the failure still counts against
    the arm that failed.
    """

    request_id: str
    attempt: int
    """0 for the arm that was chosen, 1, 2 … for failovers."""
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
    """Whole attempt, from sending to the last byte, milliseconds."""
    error: ErrorKind | None = None
    """None when the upstream answered."""
    valid_output: bool | None = None
    """Whether the answer passed output validation; None when there was no answer."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


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


@dataclass(frozen=True, slots=True)
class Judged:
    """A feedback joined with the attempt that produced the answer, in ingestion order."""

    seq: int
    arm: str
    version: str | None
    score: float
    at: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """An outcome with its place in ingestion order."""

    seq: int
    outcome: Outcome
