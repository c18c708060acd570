"""Calls that wait in the midst of a change and its review."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.agents.samples import MENDED, sample_repository
from tests.agents.scripts import call, developing, reviewing
from tests.conversation.asked_calls.conftest import answer, asked, created, titled, written
from tests.conversation.conftest import resume, say, texts
from tests.doubles import mcp_tracker
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.conversation.events import Problem
from agent_orchestrator.wiring.orchestrator import open_orchestrator

ASKED = "test_mean_of_nothing fails, please mend it"


def script(body: Mapping[str, Any]) -> Reply:
    """The developer and the reviewer each open an issue before they begin."""
    who, messages = body["model"].removeprefix("acme/"), body["messages"]
    if who == "supervisor":
        return call("Route", pieces=[{"agent": "feature_dev", "task": ASKED}], answer="")
    called = [m for m in messages if m["role"] == "assistant" and "tracker" in json.dumps(m)]
    if not called:
        return created(*titled(f"by {who}"))
    told = [m for m in messages if m["role"] != "system" and m not in called]
    rest = [m for m in told if m["role"] != "tool" or not str(m["content"]).startswith("Created")]
    return reviewing(rest) if who == "code_review" else developing(rest, MENDED)


@pytest.mark.slow
async def test_developer_and_reviewer_wait_where_they_are_and_go_on_after_a_restart(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The change is made, tested, reviewed and accepted as if nobody had waited."""
    issues = tmp_path / "issues"
    monkeypatch.setenv("TRACKER_FILE", str(issues))
    workspace.variables["CHEF_WORKSPACE"] = str(sample_repository(tmp_path / "sample"))
    workspace.variables["CHEF_STATE"] = str(tmp_path / "state")
    rules = 'environment: {PYTEST_DISABLE_PLUGIN_AUTOLOAD: "1"}\n'
    (workspace.config / "agents" / "workspace.yaml").write_text(rules)
    agents = ("supervisor", "feature_dev", "code_review")
    async with OpenAIServer(script) as server, mcp_tracker.served() as url:
        workspace.serve_elsewhere(**dict.fromkeys(agents, server.url))
        use = {"tracker": {"tools": ["create_issue"]}}
        mapping = {
            "servers": {"tracker": {"transport": "http", "url": url}},
            "agents": {"feature_dev": use, "code_review": use},
        }
        path = workspace.config / "mcp-agent-tool-mapping.yaml"
        path.write_text(json.dumps(mapping), encoding="utf-8")
        async with open_orchestrator(workspace.settings()) as chef:
            events = await say(chef, ASKED)
        for who in ("feature_dev", "code_review"):
            (approval,) = asked(events)
            assert f"by {who}" not in written(issues)
            async with open_orchestrator(workspace.settings()) as chef:
                await answer(chef, approval)
                events = await resume(chef, approval.approval_id)
            assert written(issues)[-1] == f"by {who}"
    assert "The change was accepted." in texts(events)
    assert not [e for e in events if isinstance(e, Problem)]
    assert (tmp_path / "sample" / "stats.py").read_text() == MENDED
