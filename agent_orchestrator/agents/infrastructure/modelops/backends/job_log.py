"""Following a far job's log: one thread a job, across streams that break."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from agent_orchestrator.errors import ChefError, UnavailableError

log = logging.getLogger(__name__)

_QUIET_SECONDS: Final = 0.3
"""A stream that says nothing for so long has told what was there when it was opened."""
_KEPT_LINES: Final = 1000
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0


class JobLog:
    """What a job has said so far; goes on listening until the stream ends with the job.

    ``open_stream`` yields the log from its first line on; when it breaks with UnavailableError it
    is opened again for whoever asks after a pause, and replaces what was heard. A log that nobody
    asks for any more is left broken: nothing outlives its readers but to the end of one stream.
    """

    def __init__(
        self,
        open_stream: Callable[[], Iterable[str]],
        read: Callable[[str], dict[str, Any] | None],
    ) -> None:
        """``read`` returns the event in a line, None for a line without one."""
        self._open = open_stream
        self._read = read
        self._events: tuple[dict[str, Any], ...] = ()
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._heard_at = time.monotonic()
        self._heard_any = False
        self._pause = _FIRST_PAUSE_SECONDS
        self._again_at: float | None = None
        """When a broken stream may be opened again; None while there is one, and once it ended."""
        self._lock = threading.Lock()
        self._thread = self._start()

    @property
    def has_ended(self) -> bool:
        """Tell whether nothing more is to come: the stream ended, or the log is not there."""
        return not self._thread.is_alive() and self._again_at is None

    def events(self, patience_s: float) -> tuple[dict[str, Any], ...]:
        """Return the events so far.

        Whoever asks right after the start waits, ``patience_s`` at most, until what lies in the
        past has been told.
        """
        self._wait(patience_s)
        return self._events

    def lines(self, tail: int, patience_s: float) -> list[str]:
        """Return the last lines, a thousand at most; waits as ``events`` does."""
        self._wait(patience_s)
        return list(self._lines)[-tail:] if tail > 0 else []

    def _wait(self, patience_s: float) -> None:
        with self._lock:
            if self._again_at is not None and time.monotonic() >= self._again_at:
                self._again_at = None
                self._thread = self._start()
        deadline = time.monotonic() + patience_s
        while self._thread.is_alive() and time.monotonic() < deadline and not self._is_quiet():
            time.sleep(_QUIET_SECONDS / 10)

    def _is_quiet(self) -> bool:
        return self._heard_any and time.monotonic() - self._heard_at > _QUIET_SECONDS

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._follow, name="job-log", daemon=True)
        thread.start()
        return thread

    def _follow(self) -> None:
        try:
            self._listen()
        except UnavailableError as error:
            log.warning("%s Listening again in %g s.", error.message, self._pause)
            self._again_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        except ChefError as error:  # it is not there any more, or not for us
            log.warning("%s", error)

    def _listen(self) -> None:
        events: list[dict[str, Any]] = []
        lines: deque[str] = deque(maxlen=_KEPT_LINES)
        for line in self._open():
            self._heard_at, self._heard_any = time.monotonic(), True
            lines.append(line)
            if len(lines) > len(self._lines) or len(lines) == _KEPT_LINES:
                self._lines = lines
            event = self._read(line)
            if event is not None:
                events.append(event)
                if len(events) > len(self._events):  # a stream opened again first catches up
                    self._events = tuple(events)


class Latest:
    """The newest of what a stream tells; listens until the stream ends or breaks."""

    def __init__(self, open_stream: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        self._open = open_stream
        self.value: Mapping[str, Any] | None = None
        """None until something was told."""
        threading.Thread(target=self._listen, name="job-metrics", daemon=True).start()

    def _listen(self) -> None:
        try:
            for value in self._open():
                self.value = value
        except ChefError as error:  # the job goes on without them
            log.info("%s", error.message)
            self.value = None
