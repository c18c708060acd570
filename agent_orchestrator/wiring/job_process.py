"""The frame of a job that is a process of our own: an evaluation, a conversion.

It speaks the job folder's protocol like the training worker: ``spec.json`` in, ``progress.jsonl``
on the way, ``manifest.json`` last.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import failure_of
from agent_orchestrator.domain.jobs import Failure
from agent_orchestrator.errors import ChefError
from agent_orchestrator.stores.files import replace_atomically

if TYPE_CHECKING:
    from agent_orchestrator.wiring.model_access import Metered

FAILED: Final = 1
CANCELLED: Final = 128 + signal.SIGTERM
_LONGEST_TEXT: Final = 500


class JobLog:
    """The job's progress lines."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "progress.jsonl"

    def event(self, event: str, message: str, **values: Any) -> None:
        """Append one line."""
        line = {"at": time.time(), "event": event, "message": message, **values}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    @contextmanager
    def adding_up(self, metered: Metered) -> Iterator[None]:
        """Write down what the calls cost that are made meanwhile, also when they are broken off."""
        try:
            yield
        finally:
            self.event("spent", "the models have been asked", cost_usd=metered.usd)

    def counting(self, message: str) -> Callable[[int, int], None]:
        """Return what tells (steps done, steps in all) from now on, with the time that is left."""
        begun = time.monotonic()

        def tell(done: int, total: int) -> None:
            eta = (time.monotonic() - begun) / done * (total - done)
            self.event("step", message, step=done, total_steps=total, eta_seconds=eta)

        return tell


class DiagnosedError(Exception):
    """A part of the job has failed and said why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


CarryOut = Callable[[Path, JobLog], Awaitable[dict[str, Any]]]
"""Does what the folder's ``spec.json`` says and returns the manifest; it may be cancelled."""


def run(folder: Path, carry_out: CarryOut) -> int:
    """Run the job in ``folder`` and return the exit status, as the training worker's.

    SIGTERM cancels it.
    """
    log = JobLog(folder)
    try:
        log.event("started", "starting", pid=os.getpid())
        manifest = asyncio.run(_cancellable(carry_out(folder, log)))
        log.event("completed", "completed")
        replace_atomically(folder / "manifest.json", json.dumps(manifest).encode())
    except asyncio.CancelledError:
        log.event("cancelled", "cancelled on request")
        return CANCELLED
    except Exception as error:  # noqa: BLE001 - the process boundary: it becomes a diagnosis
        traceback.print_exc()
        failure = _diagnosis(error)
        replace_atomically(folder / "failure.json", json.dumps(asdict(failure)).encode())
        log.event("failed", failure.message)
        return FAILED
    return 0


async def _cancellable(work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """Do the work; SIGTERM cancels it."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def _diagnosis(error: Exception) -> Failure:
    if isinstance(error, DiagnosedError):
        return error.failure
    if isinstance(error, ChefError):
        return failure_of(error)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return Failure("unknown", text[:_LONGEST_TEXT], "Read the job's worker.log.")
