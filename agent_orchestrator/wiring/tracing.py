"""Whether this process traces, and to where."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from functools import partial

from agent_orchestrator.serving.tracing import Tracer
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.cursors import CursorStore
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.defaults import load_dataset_defaults
from agent_orchestrator.stores.outcomes import OutcomeStore

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


def compose_feedback(settings: Settings) -> Callable[[], None] | None:
    """Return what pulls the feedback given in LangSmith; None when requests are not traced there.

    Raises SettingsError for broken defaults files.
    """
    key = settings.langsmith_api_key
    if key is None or not settings.langsmith_tracing:
        return None
    from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import langsmith_client
    from agent_orchestrator.agents.infrastructure.modelops.tracing.feedback import (
        FeedbackPull,
        FeedbackSource,
    )

    source = FeedbackSource(
        project=settings.langsmith_project,
        keys=load_dataset_defaults(settings.config_dir).langsmith.feedback_keys,
        connect=partial(
            langsmith_client.connect, settings.langsmith_endpoint, key.get_secret_value()
        ),
    )
    database = Database(settings.database)
    return FeedbackPull(source, OutcomeStore(database), CursorStore(database)).tick
