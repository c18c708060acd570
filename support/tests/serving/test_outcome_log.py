"""Outcomes reach the store in batches, never in a request's way, never twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.harness import MemorySink

from agent_orchestrator.domain.outcomes import Feedback, Outcome
from agent_orchestrator.errors import NotFoundError, StorageError
from agent_orchestrator.serving.outcome_log import OutcomeLog
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.outcomes import OutcomeStore

DISK_FULL = StorageError("Disk full.")


def outcome(number: int) -> Outcome:
    """Return an outcome of a request with this number."""
    return Outcome(
        request_id=f"r{number}",
        attempt=0,
        at=1.8e9,
        agent="feature_dev",
        task_id="t",
        model="m",
        arm="stable",
        version=None,
        rollout_id="ro_1",
        latency_ms=1.0,
        valid_output=True,
    )


def ids(sink: MemorySink) -> list[str]:
    """Return the request ids in the order in which they were kept."""
    return [o.request_id for o in sink.outcomes]


async def until(condition: asyncio.Event) -> None:
    """Wait, but not for ever."""
    await asyncio.wait_for(condition.wait(), 60)


@dataclass
class SlowSink(MemorySink):
    """Is busy with its first batch until told to go on."""

    busy: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def append_many(self, outcomes: Sequence[Outcome]) -> None:
        """Keep outcomes, later."""
        self.busy.set()
        assert self.go_on.wait(60)
        super().append_many(outcomes)


@dataclass
class Alerts:
    """Hears alerts."""

    heard: list[str] = field(default_factory=list)
    any: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, message: str) -> None:
        """Hear one."""
        self.heard.append(message)
        self.any.set()


async def test_outcomes_arrive_in_order_and_by_themselves():
    """Nobody has to ask: after the interval they are there, in the order recorded."""
    sink = MemorySink()
    async with OutcomeLog(sink, interval=0.01) as log:
        for number in range(10):
            log.record(outcome(number))
        assert log.waiting == 10
        async with asyncio.timeout(60):
            while log.waiting:  # noqa: ASYNC110 - what is tested is that nothing else is needed
                await asyncio.sleep(0.01)
    assert ids(sink) == [f"r{number}" for number in range(10)]


async def test_a_full_batch_does_not_wait():
    """With an interval of an hour, a full batch is written at once."""
    sink = SlowSink()
    async with OutcomeLog(sink, interval=3600, batch=4) as log:
        for number in range(4):
            log.record(outcome(number))
        assert await asyncio.to_thread(sink.busy.wait, 60)
        sink.go_on.set()
    assert sink.batches == [4]


async def test_recording_does_not_wait_for_a_slow_store():
    """While the store is busy, outcomes are taken; they follow in the next batches."""
    sink = SlowSink()
    async with OutcomeLog(sink, interval=0.001, batch=3) as log:
        log.record(outcome(0))
        assert await asyncio.to_thread(sink.busy.wait, 60)
        for number in range(1, 8):
            log.record(outcome(number))
        sink.go_on.set()
        await log.flush()
        assert ids(sink) == [f"r{number}" for number in range(8)]
    assert max(sink.batches) <= 3


async def test_flush_waits_for_what_was_recorded():
    """After a flush the store has everything; with nothing to do it returns at once."""
    sink = MemorySink()
    async with OutcomeLog(sink, interval=3600) as log:
        await log.flush()
        log.record(outcome(1))
        await asyncio.gather(log.flush(), log.flush())
        assert ids(sink) == ["r1"]


async def test_closing_writes_the_rest():
    """A process that ends in good order loses nothing."""
    sink = MemorySink()
    log = OutcomeLog(sink, interval=3600)
    async with log:
        log.record(outcome(1))
    await log.close()  # once more does no harm
    assert ids(sink) == ["r1"]


async def test_a_failing_store_loses_nothing_and_is_reported_once():
    """Outcomes are kept and tried again; the operator hears of the start and of the end."""
    sink, alerts = MemorySink(fault=DISK_FULL), Alerts()
    async with OutcomeLog(sink, interval=0.005, alert=alerts) as log:
        log.record(outcome(1))
        await until(alerts.any)
        assert "Disk full" in log.failure
        with pytest.raises(StorageError, match="Disk full"):
            await log.flush()
        log.record(outcome(2))
        sink.fault = None
        await log.flush()
        assert log.failure == ""
    assert ids(sink) == ["r1", "r2"]
    assert [message.split(",")[0] for message in alerts.heard] == [
        "Outcomes cannot be stored",
        "The outcome store works again.",
    ]


async def test_a_store_that_raises_anything_does_not_end_the_writer():
    """A bug in a driver costs no outcome."""
    sink = MemorySink(fault=ZeroDivisionError("driver"))
    async with OutcomeLog(sink, interval=0.001, alert=lambda _: None) as log:
        log.record(outcome(1))
        with pytest.raises(StorageError, match="ZeroDivisionError: driver"):
            await log.flush()
        sink.fault = None
    assert ids(sink) == ["r1"]


async def test_memory_is_bounded_and_what_is_dropped_is_counted():
    """With the store down for long, the newest are dropped, counted, and an alert is given."""
    sink, alerts = MemorySink(fault=DISK_FULL), Alerts()
    async with OutcomeLog(sink, interval=3600, capacity=5, alert=alerts) as log:
        for number in range(8):
            log.record(outcome(number))
        assert (log.waiting, log.dropped) == (5, 3)
        assert alerts.heard == ["Outcomes are being lost: 5 wait for the store."]
        sink.fault = None
    assert ids(sink) == [f"r{number}" for number in range(5)]


async def test_what_is_lost_at_the_end_is_said():
    """Closing with the store still down says how much was lost."""
    sink, alerts = MemorySink(fault=DISK_FULL), Alerts()
    async with OutcomeLog(sink, interval=3600, alert=alerts) as log:
        log.record(outcome(1))
    assert alerts.heard[-1].startswith("1 outcome is lost")
    assert log.dropped == 1


async def test_feedback_comes_after_the_outcome_it_judges():
    """Feedback that follows an answer at once finds its outcome in the store."""
    sink = MemorySink()
    async with OutcomeLog(sink, interval=3600, patience=0.0) as log:
        log.record(outcome(1))
        await log.add_feedback(Feedback("r1", 1.0, "user", 1.8e9))
        with pytest.raises(NotFoundError):
            await log.add_feedback(Feedback("r2", 1.0, "user", 1.8e9))
    assert [given.request_id for given in sink.feedback] == ["r1"]
    assert log.feedback_dropped == 1


async def test_feedback_waits_for_an_outcome_that_another_process_has_yet_to_write():
    """A request of another gateway is unknown until that one has flushed; nothing is lost."""
    sink = MemorySink()
    async with OutcomeLog(sink, interval=0.005, patience=60.0) as log:
        waiting = asyncio.create_task(log.add_feedback(Feedback("r1", 1.0, "user", 1.8e9)))
        log.record_feedback(Feedback("r1", 0.5, "judge", 1.8e9))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        sink.append_many([outcome(1)])
        await waiting
    assert {given.source for given in sink.feedback} == {"user", "judge"}
    assert log.feedback_dropped == 0


async def test_judgements_that_nobody_waits_for_go_in_batches():
    """A judge's opinions reach the store with the outcomes they are about, after them."""
    sink = MemorySink()
    async with OutcomeLog(sink, interval=3600) as log:
        for number in range(40):
            log.record(outcome(number))
            log.record_feedback(Feedback(f"r{number}", 0.5, "judge", 1.8e9))
        assert sink.feedback == []
    assert len(sink.batches) == 1
    assert [given.request_id for given in sink.feedback] == ids(sink)


async def test_a_judgement_outlives_a_failing_store_unless_somebody_waits_for_it():
    """Who waits hears of the failure and may send it again; the others are tried again."""
    sink = MemorySink(fault=DISK_FULL)
    async with OutcomeLog(sink, interval=0.005, alert=lambda _: None) as log:
        log.record(outcome(1))
        log.record_feedback(Feedback("r1", 0.5, "judge", 1.8e9))
        with pytest.raises(StorageError, match="Disk full"):
            await log.add_feedback(Feedback("r1", 1.0, "user", 1.8e9))
        sink.fault = None
    assert [given.source for given in sink.feedback] == ["judge"]


async def test_the_memory_for_judgements_is_bounded():
    """With the store down for long, new judgements are refused or dropped, and counted."""
    sink = MemorySink(fault=DISK_FULL)
    async with OutcomeLog(sink, interval=3600, capacity=2, alert=lambda _: None) as log:
        for _ in range(3):
            log.record_feedback(Feedback("r1", 0.5, "judge", 1.8e9))
        assert log.feedback_dropped == 1
        with pytest.raises(StorageError, match="Too many judgements"):
            await log.add_feedback(Feedback("r1", 0.5, "user", 1.8e9))
    assert log.feedback_dropped == 4


async def test_with_nothing_to_do_it_sleeps():
    """An idle gateway's log does not wake its process up."""
    sink = MemorySink()
    async with OutcomeLog(sink, interval=0.001) as log:
        log.record(outcome(1))
        await log.flush()
        await asyncio.sleep(0.01)
        assert not log._work.is_set()
        log.record(outcome(2))
        async with asyncio.timeout(60):
            while log.waiting:  # noqa: ASYNC110 - what is tested is that nothing else is needed
                await asyncio.sleep(0.01)
    assert ids(sink) == ["r1", "r2"]


async def test_a_client_that_leaves_during_its_feedback_harms_nobody():
    """A cancelled flush neither stops the writer nor another client's flush."""
    sink = SlowSink()
    async with OutcomeLog(sink, interval=0.001) as log:
        log.record(outcome(1))
        assert await asyncio.to_thread(sink.busy.wait, 60)
        leaving, staying = (asyncio.create_task(log.flush()) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        sink.go_on.set()
        await staying
        assert ids(sink) == ["r1"]


async def test_it_works_inside_its_context_only():
    """A flush that nobody would answer raises instead of waiting for ever."""
    with pytest.raises(RuntimeError, match="async with"):
        await OutcomeLog(MemorySink()).flush()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["record", "judge", "flush", "break", "mend", "pause"]), max_size=30)
)
async def test_everything_is_kept_once_in_order_whatever_happens(steps: list[str]):
    """Stores fail and recover between any two steps: none lost, none twice, none out of order."""
    sink = MemorySink()
    count = judged = 0
    async with OutcomeLog(sink, interval=0.001, batch=2, alert=lambda _: None) as log:
        for step in steps:
            if step == "record":
                log.record(outcome(count))
                count += 1
            elif step == "judge" and count:
                log.record_feedback(Feedback(f"r{count - 1}", 0.5, f"judge {judged}", 1.8e9))
                judged += 1
            elif step == "flush":
                await asyncio.gather(log.flush(), return_exceptions=True)
            elif step == "pause":
                await asyncio.sleep(0.002)
            else:
                sink.fault = DISK_FULL if step == "break" else None
        sink.fault = None
    assert ids(sink) == [f"r{number}" for number in range(count)]
    assert [given.source for given in sink.feedback] == [f"judge {n}" for n in range(judged)]


async def test_with_the_real_store(tmp_path: Path):
    """Against SQLite: every outcome once, feedback joined with the attempt that answered."""
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    store = OutcomeStore(database)
    async with OutcomeLog(store, interval=0.01) as log:
        for number in range(600):
            log.record(outcome(number))
        await log.add_feedback(Feedback("r7", 0.0, "user", 1.8e9))
    kept = store.outcomes_after("ro_1", 0, 1000)
    assert [recorded.outcome for recorded in kept] == [outcome(number) for number in range(600)]
    [judged] = store.feedback_after("ro_1", 0, 10)
    assert (judged.arm, judged.score) == ("stable", 0.0)
    database.close()
