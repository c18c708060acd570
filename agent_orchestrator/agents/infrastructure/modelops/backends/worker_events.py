"""What the worker tells (``agent_orchestrator.trainer``), as ``Progress`` and ``Failure``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from agent_orchestrator.domain.jobs import Failure, FailureKind, Progress


def last_event(events: Sequence[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """Return the newest event of a name."""
    return next((event for event in reversed(events) if event.get("event") == name), None)


def since_start(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the last process told: one that was resumed may have been cut off before."""
    starts = [n for n, event in enumerate(events) if event.get("event") == "started"]
    return events[starts[-1] :] if starts else events


def failure_from(written: Mapping[str, Any]) -> Failure:
    """Return a failure as the worker wrote it down; a kind that is not known here is unknown."""
    kind = written.get("kind")
    known = kind if kind in get_args(FailureKind) else "unknown"
    return Failure(
        cast("FailureKind", known),
        str(written.get("message", "It failed.")),
        str(written.get("remedy", "")),
    )


def progress_from(
    status: Any,
    events: Sequence[dict[str, Any]],
    *,
    failure: Failure | None = None,
    result: Mapping[str, Any] | None = None,
) -> Progress:
    """Return where a job stands by its events; how it stands is for the caller to know."""
    steps = [event for event in events if event.get("event") == "step"]
    last = steps[-1] if steps else {}
    # A resumed job tells once more of the steps after its checkpoint: the later telling counts.
    told = {event["step"]: event["loss"] for event in steps if event.get("loss") is not None}
    losses = tuple(sorted(told.items()))
    return Progress(
        status=status,
        message=events[-1].get("message", "") if events else "",
        current_step=last.get("step"),
        total_steps=last.get("total_steps"),
        current_loss=told.get(last.get("step")),
        learning_rate=last.get("learning_rate"),
        eta_seconds=last.get("eta_seconds") if status == "running" else None,
        seconds=_lasted(events),
        cost_usd=(last_event(events, "spent") or {}).get("cost_usd"),
        losses=losses,
        failure=failure,
        result=result,
    )


def _lasted(events: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the time from a process's first line to its last, seconds."""
    times = [event["at"] for event in events if "at" in event]
    return times[-1] - times[0] if times else None
