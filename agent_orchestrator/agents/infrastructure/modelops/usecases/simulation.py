"""Planning a canary."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Rate, Request, Result


class SimulateCanary(Request):
    """Plan a canary: what a rollout with these rates would do."""

    stable_rate: Rate = 0.80
    """Rate of good requests, 0..1."""
    candidate_rate: Rate = 0.80
    weight: Annotated[int, Field(ge=1, le=99)] = 20
    """Candidate's share in percent."""
    max_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Candidate requests after which a run ends undecided."""
    runs: Annotated[int, Field(ge=1, le=100_000)] = 500
    seed: int = 0
    guardrails: Annotated[int, Field(ge=1, le=8)] = 1
    """Guardrails that share the error budget."""
    rollback_only: bool = False
    """Let no planned look end a run: shows false alarms over all of max_requests."""
    requests_per_day: Annotated[float, Field(gt=0)] | None = None
    """Requests of both arms a day, to tell how many days a run takes."""
    plot: bool = False
    """Draw when the runs end and how their evidence gets there, as SVG."""


class CanarySimulated(Result):
    """What the simulated rollouts did."""

    rollback_rate: float
    promotion_rate: float
    undecided_rate: float
    median_candidate_requests: float | None
    """To rollback, among runs that rolled back."""
    p90_candidate_requests: float | None
    expected_requests: float
    """Mean requests of both arms until the run ended."""
    expected_errors: float
    """Mean bad answers of both arms until the run ended."""
    sprt_median: float | None
    """Median candidate requests of Wald's test, which knows both rates, on the same streams; null
    unless the candidate is worse and half of the runs got there."""
    wald_requests: float | None
    """Wald's approximation of that test's mean; null unless the candidate is worse."""
    expected_days: float | None = None
    """Mean days until a run ended; null without requests_per_day."""
    plot_svg: str | None = None
    """The picture, an SVG document, where it was asked for."""
