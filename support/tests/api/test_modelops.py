"""Every use case over HTTP: the fields and results that the other doors have."""

from typing import Any

import httpx
import pytest
from tests.doubles.api_client import Api, usual_app
from tests.doubles.openai_server import OpenAIServer, Reply

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.agents.infrastructure.modelops.usecases.models import ListAgentModels
from agent_orchestrator.domain.approvals import UseCaseName

TRAINING = {"agent": "code_review", "mode": "demo"}


@pytest.fixture(scope="module")
def document() -> Any:
    """Return the OpenAPI document."""
    return usual_app().openapi()


@pytest.mark.parametrize("use_case", USE_CASES)
def test_every_use_case_has_an_operation_of_its_name(document: Any, use_case: UseCaseName):
    """It takes the request's fields and says what it answers."""
    operation = document["paths"][f"/modelops/{use_case}"]["post"]
    schemas = document["components"]["schemas"]
    spec = USE_CASES[use_case]
    assert operation["operationId"] == use_case
    body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    taken = schemas[body.rpartition("/")[2]]
    assert set(taken.get("properties", {})) == set(spec.request.model_fields)
    answered = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert f"#/components/schemas/{spec.result.__name__}" in str(answered)
    assert ("202" in operation["responses"]) == spec.changes


async def test_a_reading_use_case_answers_what_the_coordinator_answers(api: Api):
    """The same document, field by field."""
    answer = await api["viewer"].post("/modelops/list_agent_models", json={"agent": "code_review"})
    own = await api.services.embedded.coordinator.run(
        "list_agent_models", ListAgentModels(agent="code_review"), Caller("me", "cli")
    )
    assert (answer.status_code, answer.json()) == (200, own.model_dump(mode="json"))


async def test_a_dry_run_only_says_what_would_happen(api: Api):
    """Who may only look may ask for one."""
    api.workspace.build_dataset()
    asked = {**TRAINING, "dry_run": True}
    answer = await api["viewer"].post("/modelops/train_subagent_model", json=asked)
    assert answer.status_code == 200
    assert answer.json()["dry_run"] is True
    assert answer.json()["estimated_cost_usd"] >= 0
    assert api.services.embedded.jobs.newest() == []


async def test_what_needs_an_approval_is_accepted_but_not_done(api: Api):
    """202 names the approval, what it covers, and its price."""
    asked = {"agent": "code_review", "model": "acme/cicd", "override_reason": "a trial"}
    async with OpenAIServer(Reply("clean")) as models:
        api.workspace.serve_elsewhere(cicd=models.url)
        answer = await api["operator"].post("/modelops/deploy_model_to_agent", json=asked)
    waiting = answer.json()
    assert answer.status_code == 202
    pending = await api.services.embedded.coordinator.get_approval(waiting["approval_id"])
    assert (pending.status, pending.requester) == ("pending", "operator")
    assert waiting["approval"]["request"]["model"] == "acme/cicd"
    assert waiting["approval"]["summary"] in waiting["detail"]


async def test_a_role_that_may_not_change_is_told_so(api: Api):
    """403, in the one form of errors; nothing is asked of anybody."""
    asked = {"agent": "code_review", "model": "deepseek/deepseek-chat"}
    answer = await api["viewer"].post("/modelops/deploy_model_to_agent", json=asked)
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:code-chef:problem:forbidden"
    assert await api.services.embedded.coordinator.pending_approvals() == []


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Return a problem's status and type, whose form is checked."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    return answer.status_code, body["type"].removeprefix("urn:code-chef:problem:")


@pytest.mark.parametrize(
    ("use_case", "asked", "expected"),
    [
        ("list_agent_models", {"agent": "nobody"}, (404, "unknown-agent-error")),
        ("monitor_training_job", {"job_id": "job_x"}, (404, "not-found-error")),
        ("monitor_training_job", {}, (422, "input-error")),
        ("list_agent_models", {"agent": "cicd", "limit": "many"}, (422, "input-error")),
        ("list_agent_models", {"agnet": "cicd"}, (422, "input-error")),
        ("no_such_use_case", {}, (404, "not-found")),
        ("space_status", {}, (503, "configuration-error")),
    ],
)
async def test_an_error_is_a_problem_with_its_remedy(
    api: Api, use_case: str, asked: dict[str, str], expected: tuple[int, str]
):
    """RFC 9457, whatever went wrong."""
    answer = await api["admin"].post(f"/modelops/{use_case}", json=asked)
    assert problem(answer) == expected


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"[]", "application/json", 422),
        (b'{"agent": "cicd"}', "text/plain", 422),
        (b" " * 2_000_000, "application/json", 413),
    ],
)
async def test_a_body_that_cannot_be_read_is_a_problem(
    api: Api, content: bytes, kind: str, status: int
):
    """Also one of a type that a web page may send without asking, and one that is too large."""
    answer = await api["admin"].post(
        "/modelops/list_agent_models", content=content, headers={"Content-Type": kind}
    )
    assert problem(answer)[0] == status
