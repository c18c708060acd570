"""Real models at real work, with ``--live`` and a key; scripted ones are in ``tests.wiring``."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from tests.agents.samples import sample_repository
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents._shared.review_loop import ReviewedWork
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.settings import load_settings
from agent_orchestrator.stores.database import Database
from agent_orchestrator.wiring.agents import open_team

TASK = "test_mean_of_nothing fails. Mend stats.py so that all tests pass; leave the tests alone."


@pytest.mark.live
async def test_the_models_of_the_team_mend_a_failing_test(tmp_path: Path):
    """The change is accepted by tests, linter and reviewer, and the tests are as they were."""
    settings = load_settings()
    if settings.openrouter_api_key is None:
        pytest.skip("OPENROUTER_API_KEY is not set: no model is asked")
    workspace = Workspace(tmp_path / "chef")
    workspace.variables |= {
        "OPENROUTER_API_KEY": settings.openrouter_api_key.get_secret_value(),
        "OPENROUTER_BASE_URL": settings.openrouter_base_url,
    }
    root = sample_repository(tmp_path / "sample")
    tests = (root / "test_stats.py").read_text()
    database = Database(workspace.settings().database)
    async with open_team(workspace.settings(), database) as team:
        done = await team.review_loop(root).run([HumanMessage(TASK)])
    database.close()
    assert isinstance(done, ReviewedWork)
    assert done.verdict is Verdict.PASS, done.report()
    assert (root / "test_stats.py").read_text() == tests
