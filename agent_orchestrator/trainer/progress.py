"""``progress.jsonl``: one flushed line an event."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal

from agent_orchestrator.trainer.diagnosis import Failure

Event = Literal[
    "started",
    "loading",
    "tokenizing",
    "converting",
    "step",
    "checkpoint",
    "validation",
    "saving",
    "completed",
    "failed",
    "cancelled",
]
BALLAST_BYTES: Final = 16 * 1024


class ProgressLog:
    """Writes a job's events, and its failure even on a disk that has just become full."""

    def __init__(self, job_dir: Path) -> None:
        self._path = job_dir / "progress.jsonl"
        self._failure = job_dir / "failure.json"
        self._ballast = job_dir / ".ballast"
        self.listeners: list[Callable[[Mapping[str, Any]], None]] = []
        """Told every line that was written."""

    def event(self, event: Event, message: str = "", **values: Any) -> None:
        """Append one line. Raises OSError when the disk does not take it."""
        line = {"at": time.time(), "event": event, "message": message, **values}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")
        for listener in self.listeners:
            listener(line)

    def reserve(self) -> None:
        """Occupy the room that the failure will need should the disk run full."""
        self._ballast.write_bytes(b"\0" * BALLAST_BYTES)

    def release(self) -> None:
        """Give the reserved room back."""
        self._ballast.unlink(missing_ok=True)

    def fail(self, failure: Failure) -> bool:
        """Record the failure in both files; False when the disk does not take one of them."""
        self.release()
        try:
            self._failure.write_text(json.dumps(asdict(failure)), encoding="utf-8")
            self.event("failed", failure.message, kind=failure.kind, remedy=failure.remedy)
        except OSError:
            return False
        return True
