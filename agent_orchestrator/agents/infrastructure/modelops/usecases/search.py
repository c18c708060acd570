"""Searching for the hyperparameters that suit a training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import ChangingRequest, Result
from agent_orchestrator.domain.models import TrainingMode
from agent_orchestrator.domain.search import MAX_RUNGS, MAX_TRIALS


class SearchHyperparameters(ChangingRequest):
    """Try hyperparameters and register the model that they made best."""

    agent: str
    space: dict[str, Any]
    """What to try: name=[a,b,c], or name={"low":a,"high":b} with "log":true for factors.

    The trial with the lowest validation_loss (grpo: the highest validation_reward) on the tenth of
    the training rows that is kept back from all of them is the best."""
    trials: Annotated[int, Field(ge=1, le=MAX_TRIALS)] = 8
    """Settings to draw; fewer when the space has no more."""
    rungs: Annotated[int, Field(ge=1, le=MAX_RUNGS)] = 1
    """1: every trial is trained to the end. More: successive halving, by thirds."""
    max_cost_usd: Annotated[float, Field(ge=0)] | None = None
    """What all trials together may cost; their estimates when left out."""
    keep: Literal["best", "all"] = "best"
    """Whose models stay when it is over: of the others their numbers are kept."""
    parallel: Annotated[int, Field(ge=1, le=16)] = 1
    """Trials at a time."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Draws the settings."""
    dataset: str | None = None
    """Data set id or name; the agent's newest when left out. A tenth is kept back to compare."""
    base_model: str | None = None
    """Model id; the model that serves the agent when it was trained here, else the default."""
    method: Literal["sft", "dpo", "grpo"] = "sft"
    mode: TrainingMode = "demo"
    max_examples: Annotated[int, Field(ge=10)] | None = None
    """Examples to train on; the mode's number when left out."""
    overrides: dict[str, Any] = {}
    """Hyperparameters that all trials have."""
    override_reason: str | None = None
    """Why to begin with production runs although no run of this kind was ever completed."""
    backend: Literal["local", "hf_space", "hf_jobs"] | None = None
    """Where to train; CHEF_BACKEND when left out."""


class SearchStarted(Result):
    """A search under way; its trials are jobs of their own, named after it."""

    job_id: str
    dataset: str
    base_model: str
    metric: str
    """What is compared, on examples that no trial was trained on."""
    trials: int
    """Settings that are tried."""
    trainings: int
    """Trainings in all rungs together."""
    max_cost_usd: float
    estimated_minutes: float
    status_url: str
    approval: str
    """``none needed`` or the approval's id."""


class TrialReport(Result):
    """One training of a search."""

    job_id: str
    rung: int
    """From 1; a later one was trained for longer."""
    setting: dict[str, Any]
    """The hyperparameters that were tried."""
    status: str
    value: float | None = None
    """What it reached; null for one that failed."""
    model: str | None = None
    """Its model's id; null where there is none (any more)."""
    cost_usd: float
