"""The tools of both transports, driven by the official client."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from mcp import ClientSession, McpError, types
from mcp.shared.memory import create_connected_server_and_client_session
from pydantic import AnyUrl
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace, eventually
from tests.mcp_server.conftest import Door

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.mcp_server.server import build_server
from agent_orchestrator.mcp_server.tools import CARRY_OUT, FOLLOW, list_tools
from agent_orchestrator.wiring.embedded import compose

DEPLOY = {"agent": "code_review", "model": "acme/cicd", "override_reason": "its first"}


async def failure(session: ClientSession, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool that fails; return what it says."""
    result = await session.call_tool(tool, arguments)
    assert result.isError, result
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    assert result.structuredContent["message"] in content.text
    assert result.structuredContent["remedy"] in content.text
    return result.structuredContent


async def success(session: ClientSession, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool that works; return its structured result, which the client has validated."""
    result = await session.call_tool(tool, arguments)
    assert not result.isError, result
    return result.structuredContent


def test_every_use_case_is_a_tool_with_the_fields_of_its_request_and_result():
    """A new use case appears by itself, with its schemas and hints."""
    tools = {tool.name: tool for tool in list_tools()}
    assert list(tools) == [*USE_CASES, FOLLOW, CARRY_OUT]
    for name, spec in USE_CASES.items():
        tool = tools[name]
        assert tool.inputSchema["properties"].keys() == spec.request.model_fields.keys()
        assert tool.inputSchema["additionalProperties"] is False
        outputs = tool.outputSchema.get("anyOf", [tool.outputSchema])
        assert outputs[0]["properties"].keys() == spec.result.model_fields.keys()
        assert tool.outputSchema["type"] == "object"
        assert tool.annotations.readOnlyHint is not spec.changes
        assert ("dry_run" in tool.inputSchema["properties"]) is spec.changes
        assert tool.description


def test_only_what_ends_or_replaces_something_is_called_destructive():
    """Clients ask their user twice before these."""
    hinted = {tool.name: tool.annotations for tool in list_tools()}
    for name in ("deploy_model_to_agent", "rollback_deployment", "cancel_training_job", CARRY_OUT):
        assert hinted[name].destructiveHint is True
    for name in ("build_dataset", "train_subagent_model", "convert_model_to_gguf"):
        assert hinted[name].destructiveHint is False


async def test_a_client_lists_and_calls_tools(door: Door, workspace: Workspace):
    """By either transport: results by their schema, failures with their remedy."""
    workspace.write_examples()
    async with door.session() as session:
        listed = await session.list_tools()
        assert [tool.name for tool in listed.tools] == [tool.name for tool in list_tools()]
        models = await success(session, "list_agent_models", agent="code_review")
        assert models["versions"] == []
        source = str(workspace.folder / "reviews.jsonl")
        built = await success(session, "build_dataset", agent="code_review", source=source)
        assert sum(built["counts"].values()) == 60
        dry = {"agent": "code_review", "dry_run": True}
        planned = await success(session, "train_subagent_model", **dry)
        assert planned["dry_run"] is True
        wrong = await failure(session, "list_agent_models", agnt="code_review")
        assert wrong["error"] == "InputError"
        unknown = await failure(session, "list_agent_models", agent="nobody")
        assert unknown["error"] == "UnknownAgentError"
        assert "code_review" in unknown["remedy"]
        assert (await failure(session, "approve"))["message"] == "There is no tool 'approve'."


async def test_a_job_is_followed_with_progress(door: Door, workspace: Workspace):
    """follow_job notifies who asked for it, in growing percentages, and returns the last report."""
    workspace.build_dataset()
    workspace.scenario(steps=3, seconds=0.6)
    reached: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert total == 100.0
        reached.append(progress)

    async with door.session() as session:
        started = await success(session, "train_subagent_model", agent="code_review")
        wanted = {"job_id": started["job_id"], "minutes": 5}
        result = await session.call_tool("follow_job", wanted, progress_callback=note)
    assert result.structuredContent["status"] == "completed"
    assert reached == sorted(set(reached))
    assert reached[-1] == 100.0


async def test_what_serves_changes_only_when_the_user_was_asked(
    door: Door, workspace: Workspace, models: OpenAIServer
):
    """Elicitation: the client shows the question, and the answer of its user decides."""
    asked: list[str] = []
    answers = [
        types.ElicitResult(action="cancel"),
        types.ElicitResult(action="accept", content={"approve": False, "reason": "too early"}),
        types.ElicitResult(action="decline"),
        types.ElicitResult(action="accept", content={"approve": True, "reason": "go"}),
    ]

    async def answer(_context: Any, question: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(question.message)
        return answers.pop(0)

    before = workspace.models_yaml.read_bytes()
    async with door.session(elicitation_callback=answer) as session:
        put_off = await failure(session, "deploy_model_to_agent", **DEPLOY)
        assert put_off["error"] == "ApprovalRequired"
        rejected = await failure(session, "deploy_model_to_agent", **DEPLOY)
        assert rejected["message"].endswith("was rejected. too early")
        declined = await failure(session, "deploy_model_to_agent", **DEPLOY)
        assert declined["error"] == "ApprovalDenied"
        assert workspace.models_yaml.read_bytes() == before
        deployed = await success(session, "deploy_model_to_agent", **DEPLOY)
        assert deployed["rollout_pct"] == 20
        (pending,) = (await session.read_resource(AnyUrl("approvals://pending"))).contents
    assert re.search(r"Needs approval ap_\w+: .*acme/cicd.*", asked[0])
    assert '"override_reason": "its first"' in asked[0]  # the whole request
    assert put_off["approval_id"] in str(pending)
    assert "weight: 20" in workspace.models_yaml.read_text()


async def test_without_a_user_to_ask_the_approval_waits(
    door: Door, workspace: Workspace, models: OpenAIServer
):
    """A client that cannot elicit is told the id; no tool approves, and the CLI's answer counts."""
    before = workspace.models_yaml.read_bytes()
    async with door.session() as session:
        waiting = await failure(session, "deploy_model_to_agent", **DEPLOY)
        assert waiting["error"] == "ApprovalRequired"
        approval_id = waiting["approval_id"]
        early = await failure(session, CARRY_OUT, approval_id=approval_id)
        assert early["message"] == f"Approval {approval_id} is pending, not approved."
        forged = await failure(session, "deploy_model_to_agent", **DEPLOY, approval_id=approval_id)
        assert forged["error"] == "InputError"
        assert workspace.models_yaml.read_bytes() == before


async def test_a_change_that_was_begun_is_finished(workspace: Workspace):
    """A client may take its call back in the midst; what serves is never left half done."""
    asked = asyncio.Event()

    def answer(_body: Any) -> Reply:
        asked.set()
        return Reply("clean")

    async def yes(_context: Any, _question: Any) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"approve": True})

    async def identify(_context: Any) -> Caller:
        return Caller("ada", "mcp", "admin")

    async with OpenAIServer(answer) as models:
        workspace.serve_elsewhere(code_review=models.url, cicd=models.url)
        server = build_server(compose(workspace.settings()), identify)
        async with create_connected_server_and_client_session(
            server, elicitation_callback=yes
        ) as session:
            call = asyncio.create_task(session.call_tool("deploy_model_to_agent", DEPLOY))
            await asked.wait()
            taken_back = types.CancelledNotification(
                params=types.CancelledNotificationParams(requestId=session._request_id - 1)
            )
            await session.send_notification(types.ClientNotification(taken_back))
            with pytest.raises(McpError, match="cancelled"):
                await call
            await eventually(lambda: "weight: 20" in workspace.models_yaml.read_text())
            await session.send_ping()  # and the session goes on
