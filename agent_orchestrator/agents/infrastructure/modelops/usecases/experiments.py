"""Comparing several models and ways of asking them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import ChangingRequest, Result


class RunExperiment(ChangingRequest):
    """Run an experiment: several models, in several modes, on the same examples.

    TEMPLATE is a YAML file, or the name of one in config/experiments.
    """

    template: str
    """A YAML file, or the name of one in config/experiments."""
    models: list[str] = []
    """Models in place of the template's."""
    max_examples: Annotated[int, Field(ge=2)] | None = None
    """Examples at most; the template's when left out."""
    repetitions: Annotated[int, Field(ge=1, le=100)] | None = None
    """How often each example is asked; the template's when left out."""
    no_cache: bool = False
    """Ask anew what an earlier run has answers for, and keep none."""
    offline: bool = False
    """Keep the experiments on this machine, although a LangSmith key is set."""


class ExperimentStarted(Result):
    """An experiment's job."""

    job_id: str
    experiment: str
    agent: str
    """Whose models these are; empty when they are nobody's."""
    arms: list[str]
    n_examples: int
    runs: int
    estimated_cost_usd: float
    """At most."""
    offline: bool
    """Whether everything about it stays on this machine."""
    uploads_to: str | None = None
    """LangSmith's address, when the experiments will be uploaded."""


class ArmScores(Result):
    """One model in one mode."""

    arm: str
    model: str
    mode: str
    scores: dict[str, float]
    intervals: dict[str, tuple[float, float] | None]
    """95 %, clustered, each for itself."""
    calls: int
    failed_calls: int
    cached_calls: int
    compared: bool
    avg_latency_s: float | None
    """Lower is better, as for tokens and cost."""
    avg_tokens: float | None
    cost_usd: float | None


class ArmContrast(Result):
    """One arm against the baseline in one metric."""

    arm: str
    metric: str
    difference: float
    interval: tuple[float, float] | None
    """Corrected for the number of comparisons."""
    p_value: float | None
    p_adjusted: float | None
    supported: bool | None
    examples_needed: int | None


class ExperimentResult(Result):
    """What an experiment found."""

    experiment: str
    baseline: str
    n_examples: int
    repetitions: int
    arms: list[ArmScores]
    contrasts: list[ArmContrast]
    correction: Literal["holm"] = "holm"
    experiment_url: str | None = None
    """LangSmith's page that compares the arms; None when nothing was uploaded."""
    upload_error: str | None = None
    """Why LangSmith did not take the experiments; the experiment itself is complete."""
    reports: dict[str, str]
    """``json``, ``markdown``, ``html`` → path."""
