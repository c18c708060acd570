"""Several gateways write into one store: their outcomes add up, whoever dies on the way."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import pytest
from tests.postgres import PostgresServer

from agent_orchestrator.domain.outcomes import Feedback, Outcome, Recorded
from agent_orchestrator.errors import StorageError
from agent_orchestrator.serving.outcome_log import OutcomeLog
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.outcomes import OutcomeStore

ROLLOUT = "ro_1"
SPAWN = multiprocessing.get_context("spawn")


def outcome(gateway: str, number: int) -> Outcome:
    """Return a gateway's outcome of that number."""
    return Outcome(
        request_id=f"{gateway}-{number}",
        attempt=0,
        at=1.8e9,
        agent="feature_dev",
        task_id=f"t{number}",
        model="m",
        arm="candidate" if number % 5 == 0 else "stable",
        version=None,
        rollout_id=ROLLOUT,
        latency_ms=1.0,
        valid_output=True,
    )


def serve(url: str, name: str, told: Connection) -> None:
    """Record outcomes until killed; tell of each, and up to which one the store has them all."""

    async def record_on() -> None:
        async with OutcomeLog(OutcomeStore(Database(url)), interval=0.02, batch=16) as log:
            for number in itertools.count():
                log.record(outcome(name, number))
                told.send(("recorded", number))
                if number % 25 == 24:
                    await log.flush()
                    told.send(("kept", number))
                await asyncio.sleep(0.0005)

    asyncio.run(record_on())


def answer_and_wait(url: str, told: Connection) -> None:
    """Record one outcome and say so long before it is written; write it when asked."""

    async def answer() -> None:
        async with OutcomeLog(OutcomeStore(Database(url)), interval=3600) as log:
            log.record(outcome("g1", 0))
            told.send("answered")
            await asyncio.to_thread(told.recv)

    asyncio.run(answer())


@dataclass
class Gateway:
    """A process that records."""

    name: str
    process: SpawnProcess
    ours: Connection
    recorded: int = -1
    kept: int = -1

    def listen(self) -> None:
        """Hear what it has said so far."""
        while self.ours.poll():
            try:
                what, number = self.ours.recv()
            except EOFError:
                return
            if what == "kept":
                self.kept = number
            else:
                self.recorded = number

    def kill(self) -> None:
        """Let it die as with a power cut, and hear its last words."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()
        self.listen()
        self.ours.close()


def start(url: str, name: str) -> Gateway:
    """Start a gateway."""
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=serve, args=(url, name, theirs), daemon=True)
    process.start()
    theirs.close()
    return Gateway(name, process, ours)


@contextmanager
def following(store: OutcomeStore) -> Iterator[list[Recorded]]:
    """Read on by number all the time, as a monitor does; give what was read."""
    seen: list[Recorded] = []
    stop = threading.Event()

    def read_on() -> None:
        while True:
            last = stop.is_set()
            while batch := store.outcomes_after(ROLLOUT, seen[-1].seq if seen else 0, 50):
                seen.extend(batch)
            if last:
                return
            stop.wait(0.001)

    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        yield seen
    finally:
        stop.set()
        reader.join()


@pytest.mark.slow
def test_outcomes_of_gateways_that_are_killed_add_up(database: Database, database_url: str) -> None:
    """Each gateway's outcomes are kept once, in order, up to what it recorded last.

    A reader that follows by number has seen exactly what is there in the end, so that a verdict is
    the same whenever it looked.
    """
    chance = random.Random(7)  # noqa: S311 - traffic, not secrets
    store = OutcomeStore(database)
    names = (f"g{number}" for number in itertools.count())
    dead: list[Gateway] = []
    with following(store) as seen:
        alive = [start(database_url, next(names)) for _ in range(3)]
        while len(dead) < 5:
            victim = chance.choice(alive)
            enough = chance.randrange(30, 120)
            while victim.recorded < enough:
                for gateway in alive:
                    gateway.listen()
                assert victim.process.is_alive()
            victim.kill()
            alive.remove(victim)
            dead.append(victim)
            if len(dead) < 3:
                alive.append(start(database_url, next(names)))
    kept = store.outcomes_after(ROLLOUT, 0, 100_000)
    assert seen == kept
    of: dict[str, list[str]] = {gateway.name: [] for gateway in dead}
    for recorded in kept:
        of[recorded.outcome.request_id.partition("-")[0]].append(recorded.outcome.request_id)
    for gateway in dead:
        assert of[gateway.name] == [f"{gateway.name}-{n}" for n in range(len(of[gateway.name]))]
        assert gateway.kept < len(of[gateway.name])

    again = [outcome(g.name, number) for g in dead for number in range(len(of[g.name]))]
    assert store.append_many(again) == 0  # a batch whose fate nobody knew is sent again
    assert sum(arm.requests for arm in store.arm_counts(ROLLOUT).values()) == len(kept)


@pytest.mark.slow
async def test_a_server_that_cuts_connections_costs_no_outcome(
    postgres: PostgresServer, postgres_url: str
) -> None:
    """However often the connections break, every outcome and judgement is kept once, in order."""
    database = Database(postgres_url)
    store = OutcomeStore(database)
    store.position()
    async with OutcomeLog(store, interval=0.002, batch=8, alert=lambda _: None) as log:
        for number in range(400):
            log.record(outcome("g1", number))
            log.record_feedback(Feedback(f"g1-{number}", 0.5, "judge", 1.8e9))
            if number % 40 == 39:
                await asyncio.to_thread(postgres.cut_off, postgres_url)
            await asyncio.sleep(0.001)
        while log.waiting:
            with suppress(StorageError):
                await log.flush()
    kept = store.outcomes_after(ROLLOUT, 0, 1000)
    assert [r.outcome.request_id for r in kept] == [f"g1-{number}" for number in range(400)]
    judged = store.feedback_after(ROLLOUT, 0, 1000)
    assert sorted(j.outcome_seq for j in judged) == [recorded.seq for recorded in kept]
    database.close()


async def test_feedback_reaches_a_request_of_another_gateway(
    database: Database, database_url: str
) -> None:
    """A client may send its judgement to any gateway, before the one that answered has written."""
    ours, theirs = SPAWN.Pipe()
    other = SPAWN.Process(target=answer_and_wait, args=(database_url, theirs))
    other.start()
    assert await asyncio.to_thread(ours.recv) == "answered"
    store = OutcomeStore(database)
    async with OutcomeLog(store, interval=0.01, patience=300.0) as log:
        feedback = asyncio.create_task(log.add_feedback(Feedback("g1-0", 0.25, "user", 1.8e9)))
        await asyncio.sleep(0.05)
        assert not feedback.done()
        ours.send("write")
        await feedback
    await asyncio.to_thread(other.join)
    ours.close()
    theirs.close()
    [judged] = store.feedback_after(ROLLOUT, 0, 10)
    assert (judged.arm, judged.score) == ("candidate", 0.25)
