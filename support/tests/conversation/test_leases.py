"""One turn of a thread at a time, however many processes there are."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from itertools import pairwise
from pathlib import Path

import pytest
from tests.conversation.conftest import ADA, say, types
from tests.doubles.workspace import Workspace

from agent_orchestrator.conversation.events import End, Event, Problem, Said
from agent_orchestrator.conversation.leases import LOOK_SECONDS, TurnLeases
from agent_orchestrator.errors import ConflictError, StorageError
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.turns import Begun, Change, Ended, TurnStore
from agent_orchestrator.wiring.orchestrator import open_orchestrator

#: Holds a turn of thread "t" until it is killed.
HOLDER = """
import asyncio, os
from agent_orchestrator.conversation.leases import TurnLeases
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.turns import TurnStore

async def hold():
    leases = TurnLeases(TurnStore(Database(os.environ["HELD"]), 10.0))
    await leases.begin("t", lambda: print("asked", flush=True), wait=False)
    print("held", flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a fresh database."""
    if request.param == "postgresql":
        found: str = request.getfixturevalue("postgres_url")
        return found
    return f"sqlite:///{tmp_path / 'state.db'}"


@asynccontextmanager
async def leases(store: TurnStore) -> AsyncIterator[TurnLeases]:
    """Return leases of one process."""
    found = TurnLeases(store)
    yield found
    await found.aclose()


async def test_a_thread_is_free_some_seconds_after_its_process_was_killed(url: str):
    """Until then who does not wait is refused with a remedy, and who waits waits."""
    ahead = [0.0]
    with closing(Database(url)) as database:
        store = TurnStore(database, 10.0, clock=lambda: time.time() + ahead[0])
        async with leases(store) as mine:
            other = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", HOLDER),
                env={**os.environ, "HELD": url},  # it may hold a password
                stdout=asyncio.subprocess.PIPE,
            )
            assert other.stdout is not None
            assert await other.stdout.readline() == b"held\n"
            with pytest.raises(ConflictError, match="A turn of thread 't' runs") as refused:
                await mine.begin("t", lambda: None, wait=False)
            assert refused.value.remedy
            assert await mine.elsewhere("t")
            await mine.begin("else", lambda: None, wait=False)
            waiting = asyncio.create_task(mine.begin("t", lambda: None, wait=True))
            assert await other.stdout.readline() == b"asked\n"
            assert not waiting.done()
            other.send_signal(signal.SIGKILL)
            await other.wait()
            assert await mine.elsewhere("t")
            ahead[0] = 10.0
            await waiting
            assert not await mine.elsewhere("t")
            await mine.end("t")
            await mine.begin("t", lambda: None, wait=False)


async def checked_for_ever(leases: TurnLeases) -> None:
    """Look whether a turn may go on, as a turn does with every event."""
    while True:
        leases.check("t")
        await asyncio.sleep(0.05)


async def test_who_lost_a_thread_learns_it(tmp_path: Path):
    """Its turn ends; it does not take the thread back, nor free it for a third."""
    with closing(Database(f"sqlite:///{tmp_path / 'state.db'}")) as database:
        late = TurnStore(database, 15.0, clock=lambda: 10_000_000_000.0)
        async with leases(TurnStore(database, 15.0)) as slow:
            await slow.begin("t", lambda: None, wait=False)
            slow.check("t")
            assert late.change([Begun("t", "another", waits=False)]) == [True]
            with pytest.raises(ConflictError, match="was cut off"):
                await checked_for_ever(slow)
            await slow.end("t")
            assert late.runs("t")


class Broken(TurnStore):
    """A store whose disk is full."""

    full = False

    def change(self, changes: list[Change]) -> list[bool]:  # type: ignore[override]  # narrower
        """Change, unless the disk is full."""
        if self.full:
            raise StorageError("The disk is full.")
        return list(super().change(changes))


async def test_a_full_disk_begins_no_turn_and_breaks_none_off(tmp_path: Path):
    """What cannot be freed is free after a while."""
    with closing(Database(f"sqlite:///{tmp_path / 'state.db'}")) as database:
        store = Broken(database, 60.0)
        async with leases(store) as mine:
            await mine.begin("t", lambda: None, wait=False)
            store.full = True
            with pytest.raises(StorageError, match="full"):
                await mine.begin("u", lambda: None, wait=False)
            await mine.end("t")
            assert store.running() == {"t"}


def test_turns_of_many_threads_begin_and_end_together(url: str):
    """Each is told whether it was done; one refused is not begun by waiting."""
    with closing(Database(url)) as database:
        store = TurnStore(database, 60.0)
        assert store.change([Begun("a", "x", waits=False), Begun("b", "y", waits=False)]) == [
            True,
            True,
        ]
        changes = [Ended("a", "x"), Begun("b", "x", waits=True), Begun("c", "x", waits=False)]
        assert store.change(changes) == [True, False, True]
        assert store.running() == {"b", "c"}
        assert (store.renew("y"), store.renew("x")) == ({"b": True}, {"c": False})
        assert store.change([]) == []


async def test_two_processes_take_turns_in_a_thread(workspace: Workspace):
    """Neither loses what the other did, and the events of a turn lie together."""
    settings = workspace.settings()
    async with open_orchestrator(settings) as one, open_orchestrator(settings) as other:
        both = await asyncio.gather(
            *(say(door, "list the models of cicd") for door in (one, other, one, other))
        )
        assert [types(events) for events in both] == [["said", "result", "message", "end"]] * 4
        spans = sorted((events[0].seq, events[-1].seq) for events in both)
        assert all(before[1] < after[0] for before, after in pairwise(spans))
        state = await one.graph.aget_state({"configurable": {"thread_id": "t1"}})
        asked = [m.text for m in state.values["messages"] if m.type == "human"]
        assert asked == ["list the models of cicd"] * 4


async def test_who_does_not_wait_is_refused_while_another_process_runs_a_turn(
    workspace: Workspace,
):
    """And hears from there what is kept of it, to its end."""
    settings = workspace.settings()
    async with open_orchestrator(settings) as one, open_orchestrator(settings) as other:
        turn = one.conversation.send("t1", "list the models of cicd", ADA)
        await anext(turn)
        store = TurnStore(Database(settings.database), 60.0)
        if await other.conversation.is_busy("t1"):
            heard = other.conversation.listen("t1")
            assert [event.type async for event in heard][-1] == "end"
        assert [event.type async for event in turn][-1] == "end"
        assert store.change([Begun("t1", "a third", waits=False)]) == [True]
        with pytest.raises(ConflictError, match="A turn of thread 't1' runs"):
            await anext(other.conversation.send("t1", "hello", ADA, wait=False))
        assert await one.conversation.is_busy("t1")


@asynccontextmanager
async def running_elsewhere(workspace: Workspace) -> AsyncIterator[None]:
    """Let another process run a turn of thread t1."""
    with closing(Database(workspace.settings().database)) as database:
        store = TurnStore(database, 60.0)
        assert store.change([Begun("t1", "another process", waits=False)]) == [True]
        yield
        store.change([Ended("t1", "another process")])


async def test_who_listens_while_a_turn_waits_hears_the_other_processes_to_its_end(
    workspace: Workspace,
):
    """Then the one that waited: no event is left out."""
    async with open_orchestrator(workspace.settings()) as here:
        async with running_elsewhere(workspace):
            turn = asyncio.create_task(say(here, "list the models of cicd"))
            await asyncio.sleep(0)
            events = here.thread_events
            events.append_many([("t1", Said(text="hello", by="ada").model_dump(exclude={"seq"}))])
            heard = here.conversation.listen("t1")
            told = [await anext(heard)]
            rest = asyncio.create_task(rest_of(heard))
            await asyncio.sleep(LOOK_SECONDS)
            events.append_many([("t1", End().model_dump(exclude={"seq"}))])
        told += await rest
        assert types(told) == ["said", "end", "said", "result", "message", "end"]
        assert told[2:] == await turn


async def rest_of(events: AsyncIterator[Event]) -> list[Event]:
    """Return the events that are still to come."""
    return [event async for event in events]


async def test_a_turn_that_is_stopped_while_it_waits_for_another_process_does_nothing(
    workspace: Workspace,
):
    """Not even what was agreed upon; the conversation says who stopped it."""
    async with open_orchestrator(workspace.settings()) as here:
        async with running_elsewhere(workspace):
            turn = asyncio.create_task(say(here, "list the models of cicd"))
            await asyncio.sleep(0)
            assert here.conversation.stop("t1", "ada")
        events = await turn
        assert types(events) == ["said", "error", "end"]
        assert isinstance(events[1], Problem)
        assert events[1].message == "Stopped by 'ada'."
