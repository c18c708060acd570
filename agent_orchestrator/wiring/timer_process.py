"""The rollout timer: judges every open rollout, settles finished jobs, recovers what was cut off.

One process at a time: it holds the lease (a file lock, which the kernel gives back when the process
dies, however it dies). A second one waits for it.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable

from agent_orchestrator.errors import ChefError, LockTimeout
from agent_orchestrator.settings import Settings, load_settings
from agent_orchestrator.stores.files import locked
from agent_orchestrator.wiring.embedded import compose
from agent_orchestrator.wiring.process import argument_parser, start_logging, when_parent_ends

log = logging.getLogger("chef.timer")

_LEASE_WAIT_SECONDS = 1.0
_CARE_SECONDS = 60.0


def run(settings: Settings, stop: threading.Event) -> None:
    """Tick until ``stop`` is set, from when the lease is free.

    Raises SettingsError for broken defaults files, StorageError when there is no place for the
    lease.
    """
    waiting = False
    while not stop.is_set():
        try:
            with locked(settings.run_dir / "timer", _LEASE_WAIT_SECONDS):
                _tick_until(stop, settings)
        except LockTimeout:
            if not waiting:
                log.info("Another process holds the timer's lease; waiting.")
            waiting = True


def _tick_until(stop: threading.Event, settings: Settings) -> None:
    """Tick until ``stop`` is set.

    Endpoints are looked after in a thread of its own: nothing far away may hold a verdict up.
    """
    embedded = compose(settings)
    log.info("The timer ticks every %g s.", settings.timer_seconds)
    care = threading.Thread(
        target=_every, args=(stop, _CARE_SECONDS, embedded.endpoint_care.tick), daemon=True
    )
    care.start()
    _every(stop, settings.timer_seconds, embedded.timer.tick, embedded.job_desk.refresh_all)


def _every(stop: threading.Event, seconds: float, *tasks: Callable[[], None]) -> None:
    """Do the tasks, each on its own: whatever goes wrong in one is only logged."""
    while not stop.wait(seconds):
        for task in tasks:
            try:
                task()
            except ChefError as error:
                log.error("%s", error)
            except Exception:  # the process's boundary: somebody has to watch the rollouts
                log.exception("A tick broke off; the next one tries again.")


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    arguments = argument_parser(__doc__).parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if arguments.with_parent:
        when_parent_ends(stop.set)
    try:
        settings = load_settings()
        start_logging(settings.log_level)
        run(settings, stop)
    except ChefError as error:
        log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
