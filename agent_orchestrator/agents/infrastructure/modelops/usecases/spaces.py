"""The Space that trains: deployed, looked at, paused, restarted."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import (
    ChangingRequest,
    Request,
    Result,
)


class DeploySpace(ChangingRequest):
    """Put the training app onto a Hugging Face Space, or bring the one there up to date."""

    space: str | None = None
    """owner/name; modelops-trainer of MODELOPS_HUB_ORG when left out."""
    hardware: str = "t4-small"
    """The Hub's name of the machine; it costs money while the Space runs. cpu-basic is free."""
    sleep_minutes: Annotated[int, Field(ge=5)] | None = None
    """Minutes without a request until it sleeps; left out, an hour more than the longest job."""
    public: bool = False
    """Whether everybody sees the Space; its app wants the token either way."""
    force: bool = False
    """Also while jobs run or wait there: they are lost."""


class SpaceStatus(Request):
    """Show how the Space stands: on the Hub, and by its own word."""

    space: str | None = None
    """owner/name; the one of MODELOPS_SPACE_URL when left out."""


class PauseSpace(ChangingRequest):
    """Pause a Space: it costs nothing until it is restarted."""

    space: str | None = None
    """owner/name; modelops-trainer of MODELOPS_HUB_ORG when left out."""
    force: bool = False
    """Also while jobs run or wait there: they are lost."""


class RestartSpace(ChangingRequest):
    """Restart a Space, or wake a paused one; it costs money while it runs."""

    space: str | None = None
    """owner/name; modelops-trainer of MODELOPS_HUB_ORG when left out."""
    force: bool = False
    """Also while jobs run or wait there: they are lost."""


class SpaceReport(Result):
    """A Space."""

    space: str | None
    """owner/name; null for an app that runs elsewhere."""
    url: str
    """Of the app, for MODELOPS_SPACE_URL."""
    stage: str | None = None
    """Of the Hub: BUILDING, APP_STARTING, RUNNING, SLEEPING, PAUSED, BUILD_ERROR …"""
    hardware: str | None = None
    usd_per_hour: float | None = None
    """While it runs; null for a machine that the Hub does not list."""
    sleep_minutes: int | None = None
    health: str | None = None
    """ok, checking, degraded; null when the app was not asked or did not answer."""
    reasons: list[str] = []
    """Why it is degraded, or did not answer."""
    engine: dict[str, str] = {}
    """Versions of what it trains with."""
    gpus: list[str] = []
    disk_free_gb: float | None = None
    running: list[str] = []
    waiting: list[str] = []
    """Jobs, the next one first."""
