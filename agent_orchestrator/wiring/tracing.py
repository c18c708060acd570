"""Whether this process traces, and to where."""

from __future__ import annotations

import atexit

from agent_orchestrator.serving.tracing import Tracer
from agent_orchestrator.settings import Settings

_CLOSE_SECONDS = 3.0


def compose_tracer(settings: Settings) -> Tracer | None:
    """Return the tracer that the settings ask for; when they ask for none, nothing is loaded.

    What waits when the process ends is sent within a few seconds, or lost.
    """
    key = settings.langsmith_api_key
    if key is None or not settings.langsmith_tracing:
        return None
    from agent_orchestrator.agents.infrastructure.modelops.tracing.export import (
        TraceDestination,
        TraceExport,
    )
    from agent_orchestrator.agents.infrastructure.modelops.tracing.redaction import Redaction

    destination = TraceDestination(
        endpoint=settings.langsmith_endpoint,
        key=key.get_secret_value(),
        project=settings.langsmith_project,
        sample=settings.langsmith_sample,
    )
    export = TraceExport(destination, Redaction(settings.secrets()))
    atexit.register(export.close, _CLOSE_SECONDS)
    return Tracer(export)
