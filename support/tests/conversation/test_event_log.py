"""Events of many conversations on their way to the store."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from agent_orchestrator.conversation.event_log import EventLog
from agent_orchestrator.errors import StorageError
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.thread_events import ThreadEventStore


class Gate:
    """A sink that waits until it is let through, and fails when told to."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = threading.Event()
        self.failing = False

    def append_many(self, events: Sequence[tuple[str, Mapping[str, Any]]]) -> Sequence[int]:
        """Wait, then keep."""
        self.open.wait(60)
        if self.failing:
            raise StorageError("The disk is full.")
        kept = sum(map(len, self.batches))
        self.batches.append([thread for thread, _ in events])
        return range(kept + 1, kept + 1 + len(events))


async def test_what_comes_while_one_batch_is_written_is_the_next_batch():
    """In its order; each gets its own number."""
    gate = Gate()
    log = EventLog(gate)
    first = asyncio.create_task(log.append("a", {}))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(log.append(thread, {})) for thread in "bcd"]
    await asyncio.sleep(0)
    gate.open.set()
    assert await asyncio.gather(first, *rest) == [1, 2, 3, 4]
    assert gate.batches == [["a"], ["b", "c", "d"]]
    await log.aclose()


async def test_each_of_those_who_wait_is_told_that_it_failed():
    """And the next one is tried anew."""
    gate = Gate()
    gate.open.set()
    gate.failing = True
    log = EventLog(gate)
    told = await asyncio.gather(log.append("a", {}), log.append("b", {}), return_exceptions=True)
    assert [str(error) for error in told] == ["The disk is full."] * 2
    gate.failing = False
    assert await log.append("a", {}) == 1
    await log.aclose()


async def test_an_event_is_kept_although_nobody_waits_for_it_any_more():
    """Who is cancelled ends the waiting, not the keeping; closing waits for what was begun."""
    gate = Gate()
    log = EventLog(gate)
    waiting = asyncio.create_task(log.append("a", {}))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.open.set()
    await log.aclose()
    assert gate.batches == [["a"]]


async def test_numbers_rise_in_each_of_many_threads(tmp_path: Path):
    """With the real store: what is read again is what was kept, in order."""
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    store = ThreadEventStore(database)
    log = EventLog(store)

    async def talk(thread: str) -> list[int]:
        return [await log.append(thread, {"number": number}) for number in range(10)]

    numbers = await asyncio.gather(*(talk(f"t{i}") for i in range(20)))
    await log.aclose()
    assert sorted(chain(*numbers)) == list(range(1, 201))
    for index, own in enumerate(numbers):
        kept = store.after(f"t{index}")
        assert [event["seq"] for event in kept] == own == sorted(own)
        assert [event["number"] for event in kept] == list(range(10))
    database.close()
