"""An agent's call over HTTP and at the command line: the same approval, the same answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conversation.asked_calls.conftest import ASKED, Model, created, titled, written
from tests.doubles.api_client import Api, opened_api
from tests.doubles.openai_server import OpenAIServer
from tests.doubles.workspace import Workspace

BUILD = {"messages": [{"role": "user", "content": ASKED}]}


async def waiting(api: Api, thread: str) -> list[dict[str, Any]]:
    """Set the agent to work in a new thread; return what the thread waits for."""
    given = {"input": BUILD, "if_not_exists": "create"}
    ended = await api["operator"].post(f"/threads/{thread}/runs/wait", json=given)
    [interrupt] = ended.json()["__interrupt__"]
    first = interrupt["value"]
    return [first, *first.get("also", [])]


async def test_over_http_a_call_is_approved_by_one_and_resumed_by_another(
    workspace: Workspace, server: OpenAIServer, issues: Path
):
    """The list shows all arguments; no use case carries it out; the operator may not answer."""
    async with opened_api(workspace) as api:
        [asked] = await waiting(api, "t1")
        [shown] = (await api["approver"].get("/approvals")).json()["approvals"]
        assert shown["id"] == asked["approval_id"]
        assert (shown["use_case"], shown["may_answer"]) == ("agent_tool_call", True)
        assert shown["tool_call"] == {
            "agent": "cicd",
            "server": "tracker",
            "tool": "create_issue",
            "arguments": {"title": "Build fails"},
            "thread_id": "t1",
        }
        path = f"/approvals/{shown['id']}"
        assert (await api["operator"].post(f"{path}/answer", json={"approve": True})).is_error
        given = await api["approver"].post(f"{path}/answer", json={"approve": True})
        assert given.json()["status"] == "approved"
        carried = await api["approver"].post(f"{path}/resume")
        assert carried.status_code == 409
        assert written(issues) == []
        woken = await api["operator"].post(
            "/threads/t1/runs/wait", json={"command": {"resume": {"approval_id": shown["id"]}}}
        )
        assert "__interrupt__" not in woken.json()
    assert written(issues) == ["Build fails"]


async def test_several_calls_are_named_together_where_a_thread_waits(
    workspace: Workspace, server: OpenAIServer, model: Model, issues: Path
):
    """Each has its own approval."""
    model.first = created(*titled("one", "two"))
    async with opened_api(workspace) as api:
        asked = await waiting(api, "t1")
    assert len({one["approval_id"] for one in asked}) == 2
    assert ['"one"' in asked[0]["summary"], '"two"' in asked[1]["summary"]] == [True, True]
    assert written(issues) == []


@pytest.mark.slow
async def test_the_command_line_approves_and_says_where_the_agent_goes_on(
    workspace: Workspace, server: OpenAIServer, issues: Path
):
    """``chef approve`` does not carry the call out itself."""
    async with opened_api(workspace) as api:
        [asked] = await waiting(api, "t1")
    command = (sys.executable, "-m", "agent_orchestrator", "approve", asked["approval_id"])
    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs meanwhile
        command, env=workspace.variables, capture_output=True, text=True, check=True
    )
    assert f"{asked['approval_id']} is approved." in done.stdout
    assert "`chef chat --thread t1`" in done.stdout
    assert written(issues) == []
