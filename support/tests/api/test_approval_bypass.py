"""Ways past an approval over HTTP: each is tried, and fails closed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.doubles.api_client import Api, opened_api
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.stores.key_files import KeySource

DEPLOY = {"agent": "code_review", "model": "acme/cicd", "override_reason": "a trial"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return an installation in which the requester may not approve."""
    return Workspace(tmp_path, {"CHEF_REQUESTER_MAY_APPROVE": "false"})


@pytest.fixture
async def api(workspace: Workspace) -> AsyncIterator[Api]:
    """Return the API, over models that answer."""
    async with OpenAIServer(Reply("clean")) as models:
        workspace.serve_elsewhere(code_review=models.url, cicd=models.url)
        async with opened_api(workspace) as api:
            yield api


async def asked(api: Api, role: Any = "operator") -> str:
    """Ask for a deployment; return the approval's id."""
    answer = await api[role].post("/modelops/deploy_model_to_agent", json=DEPLOY)
    assert answer.status_code == 202, answer.text
    approval_id: str = answer.json()["approval_id"]
    return approval_id


async def refused(api: Api, role: Any, path: str, body: Any = None) -> str:
    """Return the reason for which a request is refused."""
    answer = await api[role].post(f"/approvals/{path}", json=body)
    assert answer.status_code in {403, 409}, answer.text
    reason: str = answer.json()["type"].rpartition(":")[2]
    return reason


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_a_token_that_may_not_approve_answers_and_edits_nothing(api: Api, role: str):
    """403, and the approval waits as before."""
    approval_id = await asked(api)
    edit = {"changes": {"strategy": "immediate"}}
    assert await refused(api, role, f"{approval_id}/answer", {"approve": True}) == "forbidden"
    assert await refused(api, role, f"{approval_id}/edit", edit) == "forbidden"
    shown = (await api["viewer"].get(f"/approvals/{approval_id}")).json()
    assert (shown["status"], shown["may_answer"]) == ("pending", False)


async def test_an_administrator_does_not_approve_what_they_asked_for(
    api: Api, workspace: Workspace
):
    """Nor what they edited: under four eyes that takes somebody else."""
    before = workspace.models_yaml.read_bytes()
    yes = {"approve": True}
    own = await asked(api, "admin")
    assert await refused(api, "admin", f"{own}/answer", yes) == "approval-denied"
    others = await asked(api)
    edit = {"changes": {"strategy": "canary_50pct"}, "reason": "bolder"}
    edited = (await api["approver"].post(f"/approvals/{others}/edit", json=edit)).json()["id"]
    assert await refused(api, "approver", f"{edited}/answer", yes) == "approval-denied"
    for approval_id in (own, others, edited):
        assert await refused(api, "operator", f"{approval_id}/resume") == "approval-denied"
    assert workspace.models_yaml.read_bytes() == before
    approved = await api["admin"].post(f"/approvals/{edited}/answer", json=yes)
    assert approved.status_code == 200
    done = await api["operator"].post(f"/approvals/{edited}/resume")
    assert done.json()["result"]["rollout_pct"] == 50


async def test_an_approval_is_of_no_use_to_another_token(api: Api, workspace: Workspace):
    """An operator who knows the id of somebody else's approval can do nothing with it."""
    before = workspace.models_yaml.read_bytes()
    approval_id = await asked(api, "admin")
    yes = {"approve": True}
    answered = await api["approver"].post(f"/approvals/{approval_id}/answer", json=yes)
    assert answered.json()["status"] == "approved"
    assert await refused(api, "operator", f"{approval_id}/resume") == "approval-denied"
    assert await refused(api, "operator", f"{approval_id}/cancel", {}) == "approval-denied"
    assert await refused(api, "viewer", f"{approval_id}/resume") == "forbidden"
    assert workspace.models_yaml.read_bytes() == before


@pytest.mark.parametrize(
    "extra",
    [
        {"approver": "approver"},
        {"role": "admin"},
        {"caller": {"name": "bob", "role": "admin"}},
        {"status": "approved"},
    ],
)
async def test_a_body_says_nothing_about_who_asks(api: Api, extra: Any):
    """Fields that nobody knows are bad input, whoever sends them; headers count for nothing."""
    approval_id = await asked(api)
    path = f"/approvals/{approval_id}/answer"
    named = {"X-Role": "admin", "X-User": "approver", "X-Forwarded-User": "approver"}
    answer = await api["operator"].post(path, json={"approve": True}, headers=named)
    assert answer.status_code == 403
    answer = await api["approver"].post(path, json={"approve": True, **extra})
    assert answer.status_code == 422
    assert (await api["viewer"].get(f"/approvals/{approval_id}")).json()["status"] == "pending"


@pytest.mark.parametrize("extra", [{"approval_id": "ap_1"}, {"approved": True}, {"role": "admin"}])
async def test_a_request_cannot_bring_its_own_approval(api: Api, workspace: Workspace, extra: Any):
    """There is no field for it."""
    before = workspace.models_yaml.read_bytes()
    answer = await api["operator"].post("/modelops/deploy_model_to_agent", json=DEPLOY | extra)
    assert answer.status_code == 422
    assert workspace.models_yaml.read_bytes() == before


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer guessed"}, {"Cookie": "token=x"}])
async def test_without_a_token_nothing_is_answered(api: Api, header: dict[str, str]):
    """401 comes before anything is looked up."""
    approval_id = await asked(api)
    transport = httpx.ASGITransport(api.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as nobody:
        for path in ("answer", "edit", "cancel", "resume"):
            where = f"/approvals/{approval_id}/{path}"
            answer = await nobody.post(where, json={"approve": True}, headers=header)
            assert answer.status_code == 401


async def test_a_revoked_token_approves_nothing(api: Api):
    """From the moment that the servers have seen it."""
    approval_id = await asked(api)
    api.tokens.revoke("approver")
    source = api.services.access.tokens
    assert isinstance(source, KeySource)
    source.reload(object())
    answer = await api["approver"].post(f"/approvals/{approval_id}/answer", json={"approve": True})
    assert answer.status_code == 401
