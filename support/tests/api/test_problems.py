"""Problems: every one says what to do next, whoever found it."""

from __future__ import annotations

import inspect
from typing import Any

import httpx
import pytest
from tests.doubles.api_client import Api, opened_api
from tests.doubles.workspace import Workspace

from agent_orchestrator import errors
from agent_orchestrator.api import problems
from agent_orchestrator.api.limits import BODY_BYTES, STREAMS, Rates

COSTS = "/modelops/list_costs"
KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == errors.__name__
]


def is_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem; check its form, and that it says what to do."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == problems.MEDIA_TYPE
    said: dict[str, Any] = answer.json()
    assert (said["status"], bool(said["detail"]), bool(said["title"])) == (status, True, True)
    assert said["remedy"], said
    return said


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_error_is_a_problem_of_its_own_name(kind: type[errors.ChefError]):
    """With the status of its nearest kin, its message and its remedy."""
    given: dict[str, Any] = {"remedy": "Do that."}
    if kind is errors.UnknownAgentError:
        error: errors.ChefError = kind("nobody", ["cicd"])  # type: ignore[call-arg, arg-type]
    elif kind is errors.ApprovalRequired:
        error = kind("ap_1", "It broke.", **given)  # type: ignore[misc, call-arg]
    else:
        error = kind("It broke.", **given)
    said = problems.of_error(error)
    assert said.type.endswith(said.title.lower().replace(" ", "-"))
    assert 400 <= said.status < 600
    assert said.remedy == error.remedy
    assert said.detail == error.message


def test_a_value_that_a_use_case_refuses_is_named_as_one_that_the_document_refuses():
    """So that a form says it beside its field."""
    refused = errors.DatasetError("There is none.", remedy="Build one.", field="dataset")
    assert problems.of_error(refused).errors == [
        problems.InvalidField(where="body.dataset", message="There is none.")
    ]
    assert problems.of_error(errors.InputError("All of it.", remedy="Mend it.")).errors == []


async def test_what_http_itself_refuses_says_what_to_do(api: Api):
    """No token, a wrong one, no such path, method or body: each a problem with its remedy."""
    client = api["viewer"]
    is_problem(await client.get("/nowhere"), 404)
    is_problem(await client.get(COSTS), 405)
    is_problem(
        await client.post(COSTS, content=b"{", headers={"Content-Type": "application/json"}), 422
    )
    is_problem(await client.post(COSTS, content=b"{}", headers={"Content-Type": "text/csv"}), 422)
    is_problem(await client.post(COSTS, json={"no": "such"}), 422)
    is_problem(await client.post(COSTS, content=b" " * (BODY_BYTES + 1)), 413)
    is_problem(await client.get("/jobs/job_none"), 404)
    del client.headers["Authorization"]
    missing = is_problem(await client.post(COSTS, json={}), 401)
    assert "chef api tokens add" in missing["remedy"]
    wrong = {"Authorization": "Bearer wrong"}
    assert (
        is_problem(await client.post(COSTS, json={}, headers=wrong), 401)["detail"]
        != missing["detail"]
    )


async def test_whom_the_servers_own_rules_refuse_is_told_what_to_do(workspace: Workspace):
    """A host that is not its own, too many requests, an origin that is not let in."""
    async with opened_api(workspace, rates=Rates(0.5, 1, lambda: 0.0), hosts=["127.0.0.1"]) as api:
        client = api["viewer"]
        is_problem(await client.post(COSTS, json={}, headers={"Host": "evil.example"}), 400)
        assert (await client.post(COSTS, json={})).status_code == 200
        assert "Retry-After" in is_problem(await client.post(COSTS, json={}), 429)["remedy"]


async def test_a_failure_of_the_server_is_a_problem_too(api: Api):
    """It says where to look, and nothing of what failed."""
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    api.app.state.services = None
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        said = is_problem(await client.get("/me", headers=api.headers("viewer")), 500)
    assert said["detail"] == "The server failed."
    api.app.state.services = api.services


def test_who_reads_too_many_streams_is_refused():
    """And served again when one has ended."""
    rates = Rates(1.0, 1)
    held = [rates.stream("ada") for _ in range(STREAMS)]
    for one in held:
        one.__enter__()
    with pytest.raises(Exception, match="streams already"), rates.stream("ada"):
        pass
    with rates.stream("ida"):
        held[0].__exit__(None, None, None)
    with rates.stream("ada"):
        pass
