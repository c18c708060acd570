"""From an approval to a running rollout, over HTTP, by people of several roles."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from tests.doubles.api_client import Api
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.records import outcome

AGENT = "code_review"
DEPLOY = {"agent": AGENT, "model": "acme/cicd", "override_reason": "its first"}


@pytest.fixture
async def deployed(api: Api) -> AsyncIterator[dict[str, Any]]:
    """Deploy a candidate: asked for by one, approved by another, carried out."""
    async with OpenAIServer(lambda _body: Reply("clean")) as models:
        api.workspace.serve_elsewhere(code_review=models.url, cicd=models.url)
        asked = await api["operator"].post("/modelops/deploy_model_to_agent", json=DEPLOY)
        approval_id = asked.json()["approval_id"]
        answer = {"approve": True, "reason": "looks good"}
        approved = await api["approver"].post(f"/approvals/{approval_id}/answer", json=answer)
        assert (approved.status_code, approved.json()["status"]) == (200, "approved")
        done = await api["operator"].post(f"/approvals/{approval_id}/resume")
        assert done.status_code == 200, done.text
        assert done.json()["use_case"] == "deploy_model_to_agent"
        yield {**done.json()["result"], "approval_id": approval_id}


async def test_an_approval_is_answered_by_who_may_and_carried_out_once(
    api: Api, deployed: dict[str, Any]
):
    """It says who asked and who approved; a second time it is spent."""
    approval_id = deployed["approval_id"]
    seen = (await api["viewer"].get(f"/approvals/{approval_id}")).json()
    assert (seen["requester"], seen["approver"], seen["status"]) == (
        "operator",
        "approver",
        "consumed",
    )
    assert seen["may_answer"] is False
    again = await api["operator"].post(f"/approvals/{approval_id}/resume")
    assert again.status_code in {403, 409}
    assert (await api["viewer"].get("/approvals")).json() == {"approvals": []}
    everything = (await api["viewer"].get("/approvals", params={"all": True})).json()["approvals"]
    assert [one["id"] for one in everything] == [approval_id]


async def test_a_pending_approval_can_be_edited_and_taken_back(api: Api):
    """Edited, it waits under a new id; its requester takes that back."""
    api.workspace.build_dataset()
    api.workspace.add_artifact("acme/old")
    async with OpenAIServer(lambda _body: Reply("clean")) as models:
        api.workspace.serve_elsewhere(code_review=models.url, cicd=models.url)
        asked = await api["operator"].post("/modelops/deploy_model_to_agent", json=DEPLOY)
        first = asked.json()["approval_id"]
        shown = (await api["approver"].get("/approvals")).json()["approvals"]
        assert [(one["id"], one["may_answer"], one["refusal"]) for one in shown] == [
            (first, True, None)
        ]
        [own] = (await api["operator"].get("/approvals")).json()["approvals"]
        assert own["may_answer"] is False
        assert "operator" in own["refusal"]
        edit = {"changes": {"strategy": "shadow"}, "reason": "first without traffic"}
        refused = await api["operator"].post(f"/approvals/{first}/edit", json=edit)
        assert refused.status_code == 403
        edited = await api["approver"].post(f"/approvals/{first}/edit", json=edit)
    assert edited.status_code == 200, edited.text
    second = edited.json()
    assert (second["edited_from"], second["request"]["strategy"]) == (first, "shadow")
    late = await api["approver"].post(f"/approvals/{first}/answer", json={"approve": True})
    assert late.status_code == 403
    gone = await api["operator"].post(f"/approvals/{second['id']}/cancel", json={})
    assert gone.json()["status"] == "cancelled"


async def test_roles_hold_for_answers_too(api: Api):
    """Who asks may not answer, who looks may neither; nobody by a name of their own choice."""
    async with OpenAIServer(lambda _body: Reply("clean")) as models:
        api.workspace.serve_elsewhere(code_review=models.url, cicd=models.url)
        asked = await api["operator"].post("/modelops/deploy_model_to_agent", json=DEPLOY)
    approval_id = asked.json()["approval_id"]
    for role in ("viewer", "operator"):
        refused = await api[role].post(f"/approvals/{approval_id}/answer", json={"approve": True})
        assert refused.status_code == 403
    forged = {"approve": True, "approver": "approver"}
    refused = await api["admin"].post(f"/approvals/{approval_id}/answer", json=forged)
    assert refused.status_code == 422
    assert (await api["viewer"].get(f"/approvals/{approval_id}")).json()["status"] == "pending"


async def test_a_rollout_is_listed_shown_and_its_history_told(api: Api, deployed: dict[str, Any]):
    """The evidence over time ends where the report stands."""
    rollout_id = deployed["rollout_id"]
    store = api.services.embedded.outcomes
    state = api.services.embedded.rollouts.get(rollout_id)
    for number in range(60):
        arm = "candidate" if number % 2 else "stable"
        at, model = state.started_at + number, state.arm(arm).model
        record = outcome(number, arm, model=model).outcome
        store.append_many([replace(record, at=at, rollout_id=rollout_id)])
    viewer = api["viewer"]
    [listed] = (await viewer.get("/rollouts", params={"agent": AGENT})).json()["rollouts"]
    assert (listed["id"], listed["phase"]) == (rollout_id, "running")
    report = (await viewer.get(f"/rollouts/{rollout_id}")).json()
    own = (await viewer.post("/modelops/rollout_status", json={"agent": AGENT})).json()
    for arm in (*report["arms"], *own["arms"]):
        arm.pop("health")  # a serving process may report its breakers between the two requests
    assert report["arms"] == own["arms"]
    history = (await viewer.get(f"/rollouts/{rollout_id}/history", params={"points": 10})).json()
    points = history["points"]
    assert [point["requests"] for point in points] == [8, 16, 24, 32, 40, 48, 56, 60]
    assert points[-1]["guardrails"] == report["guardrails"]
    assert all(one["threshold"] > 1 for point in points for one in point["guardrails"])
    assert history["decisions"][0]["evidence"].pop("checklist") == report["checklist"]
    assert history["decisions"] == report["decisions"]
    assert (await viewer.get("/rollouts/ro_none/history")).status_code == 404


async def test_feedback_counts_under_the_callers_name(api: Api, deployed: dict[str, Any]):
    """Once for each request, from those who may change something."""
    record = replace(outcome(1, "candidate").outcome, rollout_id=deployed["rollout_id"])
    api.services.embedded.outcomes.append_many([record])
    given = {"request_id": "r1", "thumbs": "down"}
    assert (await api["viewer"].post("/feedback", json=given)).status_code == 403
    kept = await api["operator"].post("/feedback", json=given)
    assert kept.json() == {"request_id": "r1", "score": 0.0, "source": "operator"}
    assert (await api["operator"].post("/feedback", json=given)).status_code == 409
    assert (await api["admin"].post("/feedback", json={"request_id": "r1"})).status_code == 422
    unknown = {"request_id": "nobody", "score": 0.5}
    assert (await api["admin"].post("/feedback", json=unknown)).status_code == 404


async def test_the_registry_can_be_read(api: Api):
    """Versions, their lineage and what differs between them."""
    registry = api.services.embedded.registry
    first = registry.add_model_version(AGENT, model_id="local/a", training_config=None)
    second = registry.add_model_version(
        AGENT, model_id="local/b", parent_version=first.version, training_config=None
    )
    viewer = api["viewer"]
    record = (await viewer.get(f"/registry/{AGENT}")).json()
    assert [known["version"] for known in record["history"]] == [first.version, second.version]
    one = (await viewer.get(f"/registry/{AGENT}/versions/{second.version}")).json()
    assert one["model_id"] == "local/b"
    lineage = (await viewer.get(f"/registry/{AGENT}/versions/{second.version}/lineage")).json()
    assert [known["version"] for known in lineage["versions"]] == [second.version, first.version]
    both = {"a": first.version, "b": second.version}
    diff = (await viewer.get(f"/registry/{AGENT}/compare", params=both)).json()
    assert diff["b"]["version"] == second.version
    assert (await viewer.get("/registry")).json()["revision"] == 2
    assert (await viewer.get(f"/registry/{AGENT}/served")).json() == {"served": []}
    assert (await viewer.get(f"/registry/{AGENT}/versions/v9.9.9")).status_code == 404
    assert (await viewer.get("/registry/..%2f..%2fetc")).status_code in {404, 422}


async def test_the_overview_and_who_one_is(api: Api):
    """What a first page shows."""
    me = (await api["approver"].get("/me")).json()
    assert me == {"name": "approver", "role": "approver", "may": ["read", "approve"]}
    overview = (await api["viewer"].get("/overview")).json()
    assert AGENT in {agent["agent"] for agent in overview["agents"]}
    assert {process["name"] for process in overview["processes"]} >= {"gateway", "api", "timer"}
