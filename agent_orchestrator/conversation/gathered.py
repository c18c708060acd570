"""Work that is done in one thread, batch by batch: what comes together is done together.

A commit waits for the disk. With a hundred conversations at once, each one's own commit would be
most of what a turn takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Given = TypeVar("Given")
Done = TypeVar("Done")


class Gathered(Generic[Given, Done]):
    """Belongs to one event loop. What was begun is finished, whoever stops waiting for it."""

    def __init__(self, do_all: Callable[[Sequence[Given]], Sequence[Done]], name: str) -> None:
        """``do_all`` blocks, and does all of a batch or, when it raises, nothing of it."""
        self._do_all = do_all
        self._name = name
        self._waiting: list[tuple[Given, asyncio.Future[Done]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def do(self, given: Given) -> Done:
        """Do this with what else has come; raises what ``do_all`` raises."""
        done: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._waiting.append((given, done))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name=self._name)
        return await done

    async def aclose(self) -> None:
        """Wait until everything is done."""
        if self._worker is not None:
            await asyncio.wait([self._worker])
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        """Do what waits until nothing does; while one batch is done, the next one gathers."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            given = [one for one, _ in batch]
            try:
                results = await loop.run_in_executor(self._thread, self._do_all, given)
            except Exception as error:  # noqa: BLE001 - each of those who wait is told
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            for (_, done), result in zip(batch, results, strict=True):
                if not done.done():
                    done.set_result(result)
        self._worker = None
