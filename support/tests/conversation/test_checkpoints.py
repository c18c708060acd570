"""Checkpoints in the state database: what LangGraph asks of a saver, in SQLite and PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.conversation.conftest import ADA, BOB, asked_for, resume, say, types
from tests.conversation.test_conversation import DEPLOY
from tests.doubles.workspace import Workspace

from agent_orchestrator.conversation.database_saver import DatabaseSaver
from agent_orchestrator.stores.checkpoints import CheckpointStore
from agent_orchestrator.stores.database import Database
from agent_orchestrator.wiring.orchestrator import open_orchestrator

conformance = pytest.importorskip("langgraph.checkpoint.conformance")


async def check(url: str) -> None:
    """Run LangGraph's conformance tests of all that every saver has to do."""

    @conformance.checkpointer_test(name="DatabaseSaver")
    async def saver() -> AsyncIterator[DatabaseSaver]:
        database = Database(url)
        yield DatabaseSaver(CheckpointStore(database))
        database.close()

    report = await conformance.validate(saver)
    assert report.passed_all_base(), report.to_dict()


async def test_the_saver_does_what_langgraph_asks_on_sqlite(tmp_path: Path):
    """Put, writes, get, list and delete."""
    await check(f"sqlite:///{tmp_path / 'state.db'}")


async def test_the_saver_does_what_langgraph_asks_on_postgresql(postgres_url: str):
    """Put, writes, get, list and delete."""
    await check(postgres_url)


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
