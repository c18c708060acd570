"""The runs that LangChain traces our calls as, so that our traces become parts of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from langchain_core.callbacks import BaseRunManager
from langchain_core.tracers.langchain import LangChainTracer
from langsmith.run_helpers import get_current_run_tree
from langsmith.run_trees import RunTree

from agent_orchestrator.serving.tracing import Above, Step

_MOMENT: Final = "%Y%m%dT%H%M%S%fZ"
_UUID: Final = 36
"""Characters of a run's id, which ends each part of a ``dotted_order``."""


def langchain_run(manager: BaseRunManager | None, request_id: str) -> Above | None:
    """Return the traced run that a call belongs to; None when nothing around it is traced.

    It is the model's own run, which is told the id of our request, so that feedback on it finds the
    request. A stream is given no manager by LangChain: it belongs to the run that asked for it.
    """
    run = get_current_run_tree() if manager is None else _own_run(manager)
    if run is None or not run.dotted_order:
        return None
    if manager is not None:
        run.add_metadata({"request_id": request_id})
    return Above(path_of(run.dotted_order), run.session_name)


def _own_run(manager: BaseRunManager) -> RunTree | None:
    tracers = (tracer for tracer in manager.handlers if isinstance(tracer, LangChainTracer))
    runs = (tracer.run_map.get(str(manager.run_id)) for tracer in tracers)
    return next((run for run in runs if run is not None), None)


def path_of(dotted_order: str) -> tuple[Step, ...]:
    """Return the steps of LangSmith's order of a run: begin and id of each, from the root."""
    return tuple(
        Step(
            datetime.strptime(part[:-_UUID], _MOMENT).replace(tzinfo=UTC).timestamp(),
            UUID(part[-_UUID:]),
        )
        for part in dotted_order.split(".")
    )
