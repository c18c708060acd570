"""Checkpoints: what LangGraph asks of a saver, over a file, and the state database of two kinds."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from tests.conversation.conftest import ADA, BOB, asked_for, resume, say, types
from tests.conversation.test_conversation import DEPLOY
from tests.doubles.workspace import Workspace

from agent_orchestrator.conversation.saver import GatheredSaver
from agent_orchestrator.errors import StorageError
from agent_orchestrator.stores.checkpoint_file import CheckpointFile
from agent_orchestrator.stores.checkpoints import (
    CheckpointKey,
    CheckpointRow,
    Checkpoints,
    CheckpointStore,
    WriteRow,
    Writes,
)
from agent_orchestrator.stores.database import Database
from agent_orchestrator.wiring.orchestrator import open_orchestrator

conformance = pytest.importorskip("langgraph.checkpoint.conformance")


Opened = AbstractContextManager[Checkpoints]


@contextmanager
def in_database(url: str) -> Iterator[Checkpoints]:
    """Keep checkpoints in a state database."""
    with closing(Database(url)) as database:
        yield CheckpointStore(database)


async def check(opened: Callable[[], Opened]) -> None:
    """Run LangGraph's conformance tests of all that every saver has to do."""

    @conformance.checkpointer_test(name="GatheredSaver")
    async def saver() -> AsyncIterator[GatheredSaver]:
        with opened() as store:
            over = GatheredSaver(store)
            yield over
            await over.aclose()

    report = await conformance.validate(saver)
    assert report.passed_all_base(), report.to_dict()


async def test_the_saver_does_what_langgraph_asks_over_a_file(tmp_path: Path):
    """Put, writes, get, list and delete."""
    await check(lambda: closing(CheckpointFile(tmp_path / "new" / "checkpoints.db")))


async def test_the_saver_does_what_langgraph_asks_on_sqlite(tmp_path: Path):
    """Put, writes, get, list and delete."""
    await check(lambda: in_database(f"sqlite:///{tmp_path / 'state.db'}"))


async def test_the_saver_does_what_langgraph_asks_on_postgresql(postgres_url: str):
    """Put, writes, get, list and delete."""
    await check(lambda: in_database(postgres_url))


async def test_the_file_is_one_of_langgraphs_own_saver(tmp_path: Path):
    """What that wrote is read, and the other way round, also before it knew tasks' paths."""
    path = tmp_path / "checkpoints.db"
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    async with AsyncSqliteSaver.from_conn_string(str(path)) as theirs:
        first = await theirs.aput(config, empty_checkpoint(), {"step": 1}, {})
        await theirs.aput_writes(first, [("channel", "said")], "task")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE writes DROP COLUMN task_path")
    with closing(CheckpointFile(path)) as file:
        ours = GatheredSaver(file)
        found = await ours.aget_tuple(config)
        assert found is not None
        assert (found.metadata, found.pending_writes) == (
            {"step": 1},
            [("task", "channel", "said")],
        )
        second = await ours.aput(first, empty_checkpoint(), {"step": 2}, {})
        await ours.aput_writes(second, [("channel", {"deep": [1]})], "task", "~path")
        await ours.aclose()
    async with AsyncSqliteSaver.from_conn_string(str(path)) as theirs:
        newest = await theirs.aget_tuple(config)
        assert newest is not None
        assert newest.parent_config == first
        assert newest.pending_writes == [("task", "channel", {"deep": [1]})]


def test_a_batch_is_kept_whole_or_not_at_all(tmp_path: Path):
    """A write that the file cannot take leaves none of those before it."""
    key = CheckpointKey("t", "", "1")
    with closing(CheckpointFile(tmp_path / "checkpoints.db")) as file:
        good = CheckpointRow(key, None, "json", b"{}", {})
        bad = Writes(key, [WriteRow("task", 2**70, "", "channel", "json", b"")], replace=False)
        with pytest.raises(OverflowError):
            file.keep([good, bad])
        assert not file.find(thread_id="t")
        file.keep([good])
        assert file.find(thread_id="t") == [good]


def test_a_file_that_cannot_be_had_or_is_none_says_so(tmp_path: Path):
    """With what to do about it."""
    (tmp_path / "text.db").write_text("Not a database, but long enough to be looked at as one.")
    (tmp_path / "file").touch()
    for path in (tmp_path / "text.db", tmp_path / "file" / "checkpoints.db"):
        with pytest.raises(StorageError, match="cannot be kept") as told:
            CheckpointFile(path)
        assert told.value.remedy


async def test_a_conversation_is_kept_on_postgresql(
    workspace: Workspace, versions: object, postgres_url: str
):
    """The approval is answered after a restart; no file of checkpoints is made."""
    workspace.variables["CHEF_DATABASE_URL"] = postgres_url
    settings = workspace.settings()
    async with open_orchestrator(settings) as first:
        approval = asked_for(await say(first, DEPLOY, by=ADA))
    async with open_orchestrator(settings) as second:
        await second.embedded.coordinator.answer(approval.approval_id, BOB, approve=True)
        assert types(await resume(second, approval.approval_id)) == ["result", "message", "end"]
    assert not settings.checkpoints.exists()
