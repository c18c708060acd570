"""Who gets in over HTTP, and what their role lets them do."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from mcp import types
from tests.doubles.openai_server import OpenAIServer
from tests.doubles.workspace import Workspace
from tests.mcp_server.conftest import Door, http_door
from tests.mcp_server.test_resources import read
from tests.mcp_server.test_tools import DEPLOY, failure, success

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.mcp_server.tools import CARRY_OUT
from agent_orchestrator.wiring.embedded import compose

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
ACCEPTED = {"Accept": "application/json, text/event-stream"}


async def yes(_context: Any, _question: types.ElicitRequestParams) -> types.ElicitResult:
    """Approve whatever is asked."""
    return types.ElicitResult(action="accept", content={"approve": True})


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer nobody's", "Basic YWRtaW46", "admin"])
async def test_nobody_gets_in_without_a_token_that_is_known(over_http: Door, given: str | None):
    """Status 401 with the challenge, before anything is read."""
    headers = ACCEPTED | ({} if given is None else {"Authorization": given})
    async with httpx.AsyncClient(headers=headers, timeout=60.0) as client:
        answer = await client.post(over_http.url, json=INITIALIZE)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("header", "status"),
    [({"Host": "evil.example"}, 421), ({"Origin": "http://evil.example"}, 403)],
)
async def test_a_web_page_is_refused(over_http: Door, header: dict[str, str], status: int):
    """Another name of this machine, or another page's origin: DNS rebinding does not work."""
    headers = {**ACCEPTED, "Authorization": "Bearer admin", **header}
    async with httpx.AsyncClient(headers=headers, timeout=60.0) as client:
        answer = await client.post(over_http.url, json=INITIALIZE)
    assert answer.status_code == status


async def test_a_session_belongs_to_its_token(over_http: Door):
    """Another token does not even learn that the session exists."""
    headers = {**ACCEPTED, "Authorization": "Bearer viewer"}
    async with httpx.AsyncClient(headers=headers, timeout=60.0) as client:
        begun = await client.post(over_http.url, json=INITIALIZE)
        stolen = {
            "Mcp-Session-Id": begun.headers["Mcp-Session-Id"],
            "Authorization": "Bearer admin",
        }
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        assert (await client.post(over_http.url, json=ping, headers=stolen)).status_code == 404


async def test_a_viewer_looks_and_changes_nothing(
    over_http: Door, workspace: Workspace, models: OpenAIServer
):
    """A dry run is looking too; an eager client's yes is not even asked for."""
    async with over_http.session("viewer", elicitation_callback=yes) as session:
        await success(session, "list_agent_models", agent="code_review")
        planned = await success(session, "deploy_model_to_agent", **DEPLOY, dry_run=True)
        assert planned["approval_needed"] is True
        for tool, arguments in (
            ("deploy_model_to_agent", DEPLOY),
            (CARRY_OUT, {"approval_id": "ap_0"}),
        ):
            refused = await failure(session, tool, **arguments)
            assert refused["error"] == "Forbidden"
        _, pending = await read(session, "approvals://pending")
        assert pending == "[]"


async def test_an_operators_client_cannot_approve(
    over_http: Door, workspace: Workspace, models: OpenAIServer
):
    """However it answers: only an approver's yes counts, and then the operator goes on."""
    before = workspace.models_yaml.read_bytes()
    async with over_http.session("operator", elicitation_callback=yes) as session:
        waiting = await failure(session, "deploy_model_to_agent", **DEPLOY)
        assert waiting["error"] == "ApprovalRequired"
        assert workspace.models_yaml.read_bytes() == before
        approval_id = waiting["approval_id"]
        async with over_http.session("approver") as other:
            _, pending = await read(other, "approvals://pending")
            assert approval_id in pending
            asked = await failure(other, "deploy_model_to_agent", **DEPLOY)
            assert asked["error"] == "Forbidden"
        await approve(workspace, approval_id, Caller("ida", "cli", "approver"))
        deployed = await success(session, CARRY_OUT, approval_id=approval_id)
        assert deployed["rollout_pct"] == 20
        await failure(session, CARRY_OUT, approval_id=approval_id)


async def test_who_asked_is_not_asked_where_another_has_to_answer(
    workspace: Workspace, models: OpenAIServer
):
    """CHEF_REQUESTER_MAY_APPROVE=false: an administrator's own yes is not even asked for."""
    workspace.variables["CHEF_REQUESTER_MAY_APPROVE"] = "false"
    before = workspace.models_yaml.read_bytes()
    async with (
        http_door(workspace) as door,
        door.session("admin", elicitation_callback=yes) as session,
    ):
        waiting = await failure(session, "deploy_model_to_agent", **DEPLOY)
    assert waiting["error"] == "ApprovalRequired"
    assert workspace.models_yaml.read_bytes() == before


async def test_a_right_that_is_lost_while_the_question_stands_is_lost(
    over_http: Door, workspace: Workspace, models: OpenAIServer
):
    """The answer counts by what the token may when it comes."""
    before = workspace.models_yaml.read_bytes()

    async def lose(_context: Any, _question: types.ElicitRequestParams) -> types.ElicitResult:
        over_http.callers["admin"] = Caller("admin", "mcp", "operator")
        return types.ElicitResult(action="accept", content={"approve": True})

    async with over_http.session("admin", elicitation_callback=lose) as session:
        refused = await failure(session, "deploy_model_to_agent", **DEPLOY)
    assert refused["error"] == "Forbidden"
    assert workspace.models_yaml.read_bytes() == before


async def test_a_revoked_token_is_out_at_once(over_http: Door):
    """Also in the midst of a session."""
    headers = {**ACCEPTED, "Authorization": "Bearer viewer"}
    async with httpx.AsyncClient(headers=headers, timeout=60.0) as client:
        begun = await client.post(over_http.url, json=INITIALIZE)
        del over_http.callers["viewer"]
        session = {"Mcp-Session-Id": begun.headers["Mcp-Session-Id"]}
        assert (await client.post(over_http.url, json=PING, headers=session)).status_code == 401


async def approve(workspace: Workspace, approval_id: str, caller: Caller) -> None:
    """Approve in another process's place, as ``chef approve --only`` does."""
    coordinator = compose(workspace.settings()).coordinator
    await coordinator.answer(approval_id, caller, approve=True)
