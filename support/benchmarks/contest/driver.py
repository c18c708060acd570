"""What the drivers of all contestants share: they make the calls, this takes the time.

A driver runs in the contestant's own interpreter, so this file needs the standard library only. It
reads commands from standard input and answers each, one line of JSON a time; what the contestant
prints goes to standard error. It ends when its standard input does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from itertools import count
from pathlib import Path
from typing import Any

DIRECT, STABLE, CANDIDATE = "bench/direct", "bench/stable", "bench/candidate"
"""Models of the direct calls, and of the split."""
STABLE_SHARE = 80
"""Percent of the requests that the stable model is to get."""
AGENT = "feature_dev"
MESSAGES = [{"role": "user", "content": "Say ok."}]

_SENT_AT = re.compile(rb'"content": ?"(\d{10,})"')
_RUN = 25
"""Calls of one kind in a row, when both kinds take turns."""
_PAUSE = 0.03
"""Seconds before a run, so that it does not pay for what the calls before it left to do in the
background."""
_SETTLE = 0.25
"""Seconds after a block, whose CPU time includes what its calls left to do."""


class Driver(ABC):
    """One contestant and the direct call that it is compared with."""

    client: str
    """HTTP client of the direct calls."""

    @abstractmethod
    async def direct(self) -> None:
        """Make one call straight to the upstream and read its answer."""

    @abstractmethod
    async def through(self, task_id: str) -> None:
        """Make one call through the contestant and read its answer."""

    @abstractmethod
    async def direct_stream(self) -> int:
        """As ``direct``, streamed: the time from the first byte's sending to its coming, ns."""

    @abstractmethod
    async def through_stream(self, task_id: str) -> int:
        """As ``through``, streamed."""


Enter = Callable[[argparse.Namespace], AbstractAsyncContextManager[Driver]]
Command = dict[str, Any]


def sent_at(raw: bytes | bytearray) -> int | None:
    """Return the time that the stream's first word is, None before it has come."""
    found = _SENT_AT.search(raw)
    return int(found[1]) if found else None


class Stopwatch:
    """Carries out commands on a driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._task = count()

    async def obey(self, command: Command) -> dict[str, Any]:
        """Return what the command named ``do`` measures."""
        arguments = dict(command)
        measure: Callable[..., Awaitable[dict[str, Any]]] = getattr(self, arguments.pop("do"))
        return await measure(**arguments)

    async def turns(self, requests: int, seconds: float) -> dict[str, Any]:
        """Time runs of direct calls and of calls through in turn; for ``seconds`` at most."""
        direct: list[int] = []
        through: list[int] = []
        end = time.monotonic() + seconds
        while len(direct) < requests and time.monotonic() < end:
            direct += await _timed_run(self._driver.direct)
            through += await _timed_run(self._through)
        return {"direct_ns": direct, "through_ns": through}

    async def block(self, through: bool, requests: int, seconds: float) -> dict[str, Any]:
        """Make calls of one kind in a row: their number, and this process's CPU time."""
        begun, end, made = time.process_time(), time.monotonic() + seconds, 0
        while made < requests and time.monotonic() < end:
            await (self._through() if through else self._driver.direct())
            made += 1
        await asyncio.sleep(_SETTLE)
        return {"requests": made, "cpu_seconds": time.process_time() - begun}

    async def streams(self, requests: int, seconds: float) -> dict[str, Any]:
        """Take turns call by call, streamed: times from the upstream's first byte to ours."""
        direct: list[int] = []
        through: list[int] = []
        end = time.monotonic() + seconds
        while len(direct) < requests and time.monotonic() < end:
            await asyncio.sleep(_PAUSE)
            direct.append(await self._driver.direct_stream())
            await asyncio.sleep(_PAUSE)
            through.append(await self._driver.through_stream(self._next_task()))
        return {"direct_ns": direct, "through_ns": through}

    async def saturate(
        self, through: bool, clients: int, requests: int, seconds: float
    ) -> dict[str, Any]:
        """Let ``clients`` call without a pause: answers in each second, failures."""
        begun = time.monotonic()
        end = begun + seconds
        left = requests
        answered: dict[int, int] = {}
        failures: list[str] = []

        async def client() -> None:
            nonlocal left
            while left > 0 and time.monotonic() < end:
                left -= 1
                try:
                    await (self._through() if through else self._driver.direct())
                except Exception as error:  # noqa: BLE001 - counted, and the first one is shown
                    failures.append(f"{type(error).__name__}: {error}"[:300])
                    continue
                second = int(time.monotonic() - begun)
                answered[second] = answered.get(second, 0) + 1

        await asyncio.gather(*(client() for _ in range(clients)))
        return {
            "seconds": time.monotonic() - begun,
            "per_second": [answered[second] for second in sorted(answered)],
            "failed": len(failures),
            "first_failure": failures[0] if failures else "",
        }

    async def _through(self) -> None:
        await self._driver.through(self._next_task())

    def _next_task(self) -> str:
        return f"task-{next(self._task)}"


async def _timed_run(call: Callable[[], Awaitable[None]]) -> list[int]:
    """Time a run of calls, after a pause and one call that wakes whoever had gone idle."""
    await asyncio.sleep(_PAUSE)
    await call()
    times = []
    for _ in range(_RUN):
        begun = time.perf_counter_ns()
        await call()
        times.append(time.perf_counter_ns() - begun)
    return times


def run(enter: Enter) -> None:
    """Be a driver's process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", required=True, help="base URL of the mock, up to /v1")
    parser.add_argument("--folder", type=Path, required=True, help="for files of one's own")
    parser.add_argument("--url", help="base URL of the contestant that is a server, up to /v1")
    parser.add_argument("--headers", type=json.loads, default={}, help="for that server, JSON")
    parser.add_argument("--model", default="", help="what that server calls the split")
    asyncio.run(_converse(enter, parser.parse_args()))


async def _converse(enter: Enter, given: argparse.Namespace) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with answers:
        async with enter(given) as driver:
            watch = Stopwatch(driver)
            print(json.dumps({"client": driver.client}), file=answers, flush=True)
            while line := await asyncio.to_thread(sys.stdin.readline):
                print(json.dumps(await watch.obey(json.loads(line))), file=answers, flush=True)
