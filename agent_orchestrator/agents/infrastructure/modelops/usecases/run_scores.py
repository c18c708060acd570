"""Scoring finished runs: what agents did, read from their traces."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Request, Result
from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import DatasetFilters


class ScoreRuns(Request):
    """Score an agent's finished runs.

    They are read from a LangSmith project, each with all that ran beneath it: the agents that the
    work went to, steps, calls of tools, requests for approval, tokens, time. No model is asked.
    """

    agent: str
    project: str
    """LangSmith's project that has the traces."""
    filters: DatasetFilters = DatasetFilters()
    """What a run must be: success, feedback_score (at least), hitl_approved, since, until, tags;
    any other key is one of its metadata, with its value, e.g. model_version=v1.2.0."""
    metrics: list[str] = []
    """Metrics to measure; all that apply when empty."""
    max_runs: Annotated[int, Field(ge=1, le=1000)] = 100
    """The newest N."""


class RunScore(Result):
    """One metric over the runs that have it."""

    metric: str
    mean: float
    interval: tuple[float, float] | None
    """95 %, clustered by conversation."""
    n: int
    lowest: list[str]
    """Ids of the runs that scored lowest, below 1; three at most."""


class RunScores(Result):
    """What finished runs score."""

    agent: str
    project: str
    n_runs: int
    n_groups: int
    """Conversations, or tasks, that they are of."""
    failed_runs: int
    """Those that ended with an error."""
    unfinished_runs: int
    """Left out: they have not ended, or wait for a person."""
    other_runs: int
    """Left out: they name no agent, and the work did not go to this one."""
    more_runs: bool
    """Whether there are older ones that were not read."""
    scores: list[RunScore]
    avg_latency_s: float | None
    """Of the runs that did not fail; lower is better, as for tokens."""
    avg_tokens: float | None
    problems: list[str] = []
    """Why runs could not be scored; the first few."""
