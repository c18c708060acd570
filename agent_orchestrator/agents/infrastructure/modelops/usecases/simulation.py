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
    curves: bool = False
    """Return the same as points, for programs that draw it."""


class EvidencePath(Result):
    """The evidence of one simulated run, to where it rolls back or is no longer shown."""

    requests: list[int]
    """Of the candidate, from 1."""
    evidence: list[float]
    """That the candidate is worse, after each of them: an e-value."""
    rolls_back: bool


class CanaryCurves(Result):
    """How the runs end, over the candidate's requests, to where nine of ten have ended."""

    requests: list[int]
    """Of the candidate, from 0: where the shares are given."""
    rolled_back: list[float]
    """Share of the runs that were rolled back by then, 0..1."""
    promoted: list[float]
    rolled_back_knowing: list[float] | None
    """The same for Wald's test, which knows both rates; null unless the candidate is worse."""
    threshold: float
    """Evidence that rolls back."""
    paths: list[EvidencePath]
    """Of some runs."""


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
    curves: CanaryCurves | None = None
    """The points, where they were asked for."""
