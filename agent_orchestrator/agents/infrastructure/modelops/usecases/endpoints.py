"""Inference Endpoints: what runs, what sleeps, what it costs."""

from __future__ import annotations

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import (
    ChangingRequest,
    Request,
    Result,
)


class ListEndpoints(Request):
    """List the Inference Endpoints: what runs, what sleeps, what it costs."""


class EndpointStatus(Request):
    """Show how an Inference Endpoint stands."""

    name: str


class WakeEndpoint(ChangingRequest):
    """Bring an Inference Endpoint up; it costs money while it runs."""

    name: str


class SleepEndpoint(ChangingRequest):
    """Scale an Inference Endpoint to zero; it wakes at its next request."""

    name: str


class EndpointReport(Result):
    """An Inference Endpoint."""

    name: str
    model: str
    status: str
    """pending, initializing, updating, running, paused, scaledToZero, failed, updateFailed."""
    url: str | None
    instance: str
    usd_per_hour: float | None
    """While it runs; null for a machine that the service does not list."""
    serves: list[str]
    """Agents whose traffic it gets."""
    message: str = ""


class EndpointList(Result):
    """All Inference Endpoints of a namespace."""

    namespace: str
    endpoints: list[EndpointReport]
