"""Comparing a candidate with a baseline."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import ChangingRequest, Result


class EvaluateModelVsBaseline(ChangingRequest):
    """Compare a candidate with a baseline.

    Both are called on the same held-out examples.
    """

    agent: str
    candidate: str | None = None
    """Version or model id; the agent's newest version when left out."""
    baseline: str | None = None
    """Version or model id; what serves the agent when left out."""
    dataset: str | None = None
    """Data set id or name; the one the candidate was trained with when left out."""
    metrics: list[str] = []
    """Metrics to measure; all that apply when empty."""
    max_examples: Annotated[int, Field(ge=2)] | None = None
    repetitions: Annotated[int, Field(ge=1, le=100)] = 1
    """How often each example is asked."""
    no_cache: bool = False
    """Ask anew what an earlier run has answers for, and keep none; so all latency is measured."""
    judge: str | None = None
    """Model that also compares the answers, in both orders; its preference is reported."""
    offline: bool = False
    """Keep the experiments on this machine, although a LangSmith key is set."""


class EvaluationStarted(Result):
    """An evaluation job."""

    job_id: str
    agent: str
    candidate: str
    baseline: str | None
    dataset: str
    n_examples: int
    estimated_cost_usd: float
    """At most, by a guess for each call of a model that somebody else runs."""
    offline: bool = False
    """Whether everything about it stays on this machine."""
    uploads_to: str | None = None
    """LangSmith's address, when the experiments will be uploaded."""


class MetricResult(Result):
    """One metric, candidate beside baseline."""

    metric: str
    baseline: float | None
    candidate: float | None
    change_pct: float | None
    difference: float | None
    """Mean paired difference candidate − baseline."""
    interval: tuple[float, float] | None
    """95 % interval of ``difference``."""
    supported: bool | None
    """Whether the interval excludes 0; null without an interval."""
    weight: float | None = None
    """Share in the decision before renormalising, 0 for what is only reported; null where an older
    evaluation did not keep it."""


class ExpenseResult(Result):
    """What a call takes in the mean, candidate beside baseline. Lower is better."""

    measure: Literal["latency_s", "tokens", "cost_usd"]
    baseline: float | None
    candidate: float | None
    change_pct: float | None
    """Above 0 is more, thus worse."""
    interval: tuple[float, float] | None
    """95 % interval of the mean paired difference."""


class EvaluationResult(Result):
    """What an evaluation found."""

    agent: str
    candidate: str
    baseline: str | None
    scores: dict[str, dict[str, float]]
    """``candidate`` and ``baseline`` → metric → score."""
    improvement_pct: float | None
    changes: list[MetricResult]
    expenses: list[ExpenseResult] = []
    recommendation: Literal["deploy", "deploy_canary", "needs_review", "reject"]
    reasons: list[str]
    n_examples: int
    repetitions: int = 1
    failed_calls: dict[str, int]
    cached_calls: dict[str, int] = {}
    """Answers that an earlier run had paid for; they have no latency."""
    examples_needed: int | None
    experiment_url: str | None
    """LangSmith's page that compares the arms; None when nothing was uploaded."""
    upload_error: str | None = None
    """Why LangSmith did not take the experiments; the evaluation itself is complete."""
    reports: dict[str, str]
    """``json``, ``markdown``, ``html`` → path."""
