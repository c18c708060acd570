"""The clock of this process, which can be set back: what is done meanwhile was done in the past.

Import it before anything of ``agent_orchestrator``, whose functions keep ``time.time`` as they find
it. Processes that are started have the machine's clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_now: Final = time.time
_behind = 0.0


def _set_back() -> float:
    return _now() - _behind


time.time = _set_back


@contextmanager
def ago(seconds: float) -> Iterator[None]:
    """Be so many seconds behind for as long as the block takes."""
    global _behind  # noqa: PLW0603 - there is one clock
    before, _behind = _behind, seconds
    try:
        yield
    finally:
        _behind = before
