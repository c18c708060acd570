"""The rollout timer: judges every open rollout, settles finished jobs, recovers what was cut off.

It also fetches the feedback that was given in LangSmith, where requests are traced there.

One process at a time: it holds the lease, a lock of the state database, which is free again when
the process dies, however it dies. A second one waits for it, with PostgreSQL also on another
machine.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import closing

from agent_orchestrator.errors import ChefError, ConfigurationError, LockTimeout, UnavailableError
from agent_orchestrator.settings import Settings, load_settings
from agent_orchestrator.stores.database import Database
from agent_orchestrator.wiring.conversations import open_retention, retention_policy
from agent_orchestrator.wiring.embedded import Embedded, compose
from agent_orchestrator.wiring.mlflow import compose_mirror
from agent_orchestrator.wiring.process import argument_parser, start_logging, when_parent_ends
from agent_orchestrator.wiring.processes import TIMER_LEASE
from agent_orchestrator.wiring.tracing import compose_feedback

log = logging.getLogger("chef.timer")

_LEASE_WAIT_SECONDS = 1.0
_CARE_SECONDS = 60.0
_TIDY_SECONDS = 600.0
_MIRROR_SECONDS = 5.0
_FEEDBACK_SECONDS = 30.0


def run(settings: Settings, stop: threading.Event) -> None:
    """Tick until ``stop`` is set, from when the lease is free.

    Raises SettingsError for broken defaults files, StorageError when there is no place for the
    lease. A server that does not answer is waited for.
    """
    said = ""
    with closing(Database(settings.database)) as database:
        while not stop.is_set():
            try:
                with database.exclusive(TIMER_LEASE, _LEASE_WAIT_SECONDS) as check_lease:
                    said = ""
                    _tick_until(stop, settings, check_lease)
            except LockTimeout:
                said = _say_once("Another process holds the timer's lease; waiting.", said)
            except UnavailableError as error:
                said = _say_once(str(error), said)
                stop.wait(_LEASE_WAIT_SECONDS)


def _say_once(line: str, said: str) -> str:
    if line != said:
        log.info("%s", line)
    return line


def _tick_until(stop: threading.Event, settings: Settings, check_lease: Callable[[], None]) -> None:
    """Tick until ``stop`` is set.

    Jobs, which may be far away, and endpoints and old outcomes are looked after in threads of their
    own: nothing that takes long may hold a verdict up.
    Raises UnavailableError when the lease was lost with the connection to a database server.
    """
    embedded = compose(settings)
    log.info("The timer ticks every %g s.", settings.timer_seconds)
    ended = threading.Event()
    care = (embedded.endpoint_care.tick, embedded.retention.tick)
    threading.Thread(target=_every, args=(ended, _CARE_SECONDS, *care), daemon=True).start()
    jobs = (ended, settings.timer_seconds, embedded.job_desk.refresh_all)
    threading.Thread(target=_every, args=jobs, daemon=True).start()
    slow = (
        (_TIDY_SECONDS, _tidy(settings)),
        (_MIRROR_SECONDS, _mirror(settings, embedded)),
        (_FEEDBACK_SECONDS, compose_feedback(settings)),
    )
    for seconds, task in slow:
        if task is not None:
            threading.Thread(target=_every, args=(ended, seconds, task), daemon=True).start()
    try:
        while not stop.wait(settings.timer_seconds):
            check_lease()
            _do(embedded.timer.tick)
    finally:
        ended.set()


def _tidy(settings: Settings) -> Callable[[], None]:
    """Return the tick that removes what nobody needs of conversations."""

    def tick() -> None:
        with open_retention(settings) as retention:
            retention.prune(retention_policy(settings), "timer")

    return tick


def _mirror(settings: Settings, embedded: Embedded) -> Callable[[], None] | None:
    """Return the tick of the mirror in MLflow; without its client there is none, which is told."""
    try:
        return compose_mirror(settings, embedded.job_desk)
    except ConfigurationError as error:
        log.error("%s", error)
        return None


def _every(stop: threading.Event, seconds: float, *tasks: Callable[[], None]) -> None:
    while not stop.wait(seconds):
        _do(*tasks)


def _do(*tasks: Callable[[], None]) -> None:
    """Do the tasks, each on its own: whatever goes wrong in one is only logged."""
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
