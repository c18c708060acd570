"""What one caller may ask of the API, and what browsers may do with its answers."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from fastapi import HTTPException
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES = 1024 * 1024
"""Largest body of a request."""
STREAMS = 200
"""Most streams that one caller may read at a time."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


T = TypeVar("T")


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Rates:
    """A token bucket for each caller: ``per_second`` on the average, ``burst`` at once.

    Streams are counted beside it. There are as many callers as access tokens, so that nobody can
    fill the memory with names.
    """

    def __init__(
        self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._streams: Counter[str] = Counter()

    def take(self, name: str) -> None:
        """Count a request. Raises HTTPException 429 that says when to ask again."""
        now = self._clock()
        bucket = self._buckets.setdefault(name, _Bucket(self._burst, now))
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._per_second)
        bucket.at = now
        if bucket.left < 1:
            seconds = math.ceil((1 - bucket.left) / self._per_second)
            raise HTTPException(
                429,
                f"{name!r} asks too often: at most {self._per_second:g} requests a second.",
                headers={"Retry-After": str(seconds)},
            )
        bucket.left -= 1

    def streaming(self, name: str, events: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Return the events, counted as one stream for as long as they are read.

        Raises HTTPException 429 for who reads too many.
        """
        self.check_streams(name)
        return self._counted(name, events)

    @contextmanager
    def stream(self, name: str) -> Iterator[None]:
        """Count a stream for as long as the block takes; raises as ``streaming``."""
        self.check_streams(name)
        self._streams[name] += 1
        try:
            yield
        finally:
            self._streams[name] -= 1

    def check_streams(self, name: str) -> None:
        """Raise as ``streaming`` would, before that is begun which it would tell of."""
        if self._streams[name] >= STREAMS:
            raise HTTPException(429, f"{name!r} reads {STREAMS} streams already: end one first.")

    async def _counted(self, name: str, events: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        with self.stream(name):
            async with aclosing(events):
                async for event in events:
                    yield event


class SecurityHeaders:
    """ASGI middleware: what browsers must not do with an answer, unless the answer says else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers that an answer does not have."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
