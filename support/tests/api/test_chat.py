"""@chef over HTTP: streamed, resumed, taken up again, and answered by other people."""

from collections.abc import AsyncIterator
from contextlib import ExitStack

import httpx
import pytest
from tests.doubles.api_client import Api, listening, opened_api
from tests.doubles.sse import SseEvent, following
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.api.limits import STREAMS

DEPLOY = "Deploy v1.1.0 to code_review immediately"


def client(api: Api, url: str, role: str) -> httpx.AsyncClient:
    """Return a client that streams."""
    return httpx.AsyncClient(base_url=url, headers=api.headers(role), timeout=120)


async def said(http: httpx.AsyncClient, message: str, thread: str | None = None) -> list[SseEvent]:
    """Say something; return the turn's events."""
    given = {"message": message} | ({"thread_id": thread} if thread else {})
    async with following(http, "POST", "/chat", json=given) as events:
        return [event async for event in events]


def register(workspace: Workspace) -> None:
    """Register two versions whose models answer, and that were found good."""
    workspace.build_dataset()
    registry = ModelRegistry(workspace.settings().registry_json)
    for model in ("acme/one", "acme/two"):
        workspace.add_artifact(model)
        version = registry.add_model_version("code_review", model_id=model).version
        scores = {"accuracy": 0.9, "recommendation": "deploy"}
        registry.update_evaluation_scores("code_review", version, scores)


@pytest.fixture
async def url(api: Api) -> AsyncIterator[str]:
    """Return where the API listens."""
    async with listening(api) as url:
        yield url


async def test_a_turn_is_told_from_its_thread_to_its_end(api: Api, url: str):
    """Kept events have numbers that rise; the use case's result is the one of every door."""
    async with client(api, url, "viewer") as http:
        events = await said(http, "list the models of code_review")
    assert (events[0].event, events[-1].event) == ("thread", "end")
    assert events[1].event == "said"
    numbers = [int(event.id) for event in events[1:] if event.event != "token"]
    assert numbers == sorted(set(numbers))
    [result] = [event.data for event in events if event.event == "result"]
    asked = {"agent": "code_review"}
    own = (await api["viewer"].post("/modelops/list_agent_models", json=asked)).json()
    assert (result["use_case"], result["result"]) == ("list_agent_models", own)
    assert all(event.data["type"] == event.event for event in events)


async def test_a_conversation_is_stopped_by_who_speaks_in_it(api: Api, url: str):
    """Others are refused; where no turn runs the answer says so."""
    async with client(api, url, "viewer") as http:
        events = await said(http, "list the models of code_review")
    path = f"/chat/{events[0].data['thread_id']}/stop"
    assert (await api["viewer"].post(path)).json() == {"stopped": False}
    assert (await api["operator"].post(path)).status_code == 403
    assert (await api["admin"].post(path)).json() == {"stopped": False}
    assert (await api["admin"].post("/chat/none/stop")).status_code == 404


async def test_what_was_missed_is_told_after_the_last_number(api: Api, url: str):
    """From any number on, exactly the rest; from none, everything."""
    async with client(api, url, "viewer") as http:
        events = await said(http, "list the models of code_review")
        thread = events[0].data["thread_id"]
        kept = [event for event in events[1:] if event.event != "token"]
        for index, event in enumerate(kept):
            headers = {"Last-Event-ID": event.id}
            path = f"/chat/{thread}/events"
            async with following(http, "GET", path, headers=headers) as missed:
                assert [one async for one in missed][1:] == kept[index + 1 :]
        async with following(http, "GET", f"/chat/{thread}/events") as everything:
            assert [one async for one in everything][1:] == kept


async def test_an_approval_is_answered_by_another_across_a_restart(workspace: Workspace):
    """Asked for in one server's life, approved and carried out in the next one's."""
    register(workspace)
    async with (
        opened_api(workspace) as api,
        listening(api) as url,
        client(api, url, "operator") as http,
    ):
        events = await said(http, DEPLOY)
        thread = events[0].data["thread_id"]
        [asked] = [event.data for event in events if event.event == "approval_required"]
        assert events[-1].data["waiting"] == "approval"
    async with (
        opened_api(workspace) as api,
        listening(api) as url,
        client(api, url, "operator") as http,
    ):
        approval = f"/approvals/{asked['approval_id']}"
        refused = await http.post(f"{approval}/answer", json={"approve": True})
        assert refused.status_code == 403
        answered = await api["approver"].post(f"{approval}/answer", json={"approve": True})
        assert answered.status_code == 200
        given = {"approval_id": asked["approval_id"]}
        async with following(http, "POST", f"/chat/{thread}/resume", json=given) as resumed:
            after = [event async for event in resumed]
        [result] = [event.data for event in after if event.event == "result"]
        assert result["use_case"] == "deploy_model_to_agent"
        assert result["result"]["deployed"] is True
        again = await http.post(f"/chat/{thread}/resume", json=given)
        assert (again.status_code, again.json()["title"]) == (409, "Conflict error")


async def test_nobody_speaks_in_anothers_conversation(api: Api, url: str):
    """They may read it; who administers may speak."""
    async with client(api, url, "operator") as http:
        thread = (await said(http, "list the models of code_review"))[0].data["thread_id"]
    refused = await api["approver"].post("/chat", json={"message": "yes", "thread_id": thread})
    assert refused.status_code == 403
    async with (
        client(api, url, "viewer") as http,
        following(http, "GET", f"/chat/{thread}/events") as events,
    ):
        assert [event.event async for event in events][1] == "said"
    async with client(api, url, "admin") as http:
        assert (await said(http, "list the models of cicd", thread))[-1].event == "end"


async def test_a_viewers_words_change_nothing(api: Api, url: str):
    """Not by a sentence that would train, nor by agreeing to it."""
    api.workspace.build_dataset()
    async with client(api, url, "viewer") as http:
        events = await said(http, "train code_review with a demo run")
        thread = events[0].data["thread_id"]
        await said(http, "yes", thread)
    assert api.services.embedded.jobs.newest() == []
    assert await api.services.embedded.coordinator.pending_approvals() == []


@pytest.mark.parametrize(
    "given",
    [
        {"message": ""},
        {"message": " \n"},
        {"message": "x", "thread_id": "../x"},
        {"message": "x", "caller": "admin"},
        {},
    ],
)
async def test_a_message_that_is_none_is_refused(api: Api, given: dict[str, str]):
    """As a problem, before anything is kept."""
    assert (await api["admin"].post("/chat", json=given)).status_code == 422


async def test_who_reads_too_many_streams_already_begins_no_turn(api: Api):
    """Nothing is said, so that it may be said again, by the same key too."""
    given = {"message": "list the models of cicd", "thread_id": "full"}
    run = {"input": {"messages": {"content": given["message"]}}, "if_not_exists": "create"}
    key = {"Idempotency-Key": "k1"}
    with ExitStack() as held:
        for _ in range(STREAMS):
            held.enter_context(api.services.rates.stream("operator"))
        asked = [
            await api["operator"].post("/chat", json=given, headers=key),
            await api["operator"].post("/threads/full/runs/stream", json=run),
        ]
    assert [answer.status_code for answer in asked] == [429, 429]
    assert (await api["operator"].get("/threads/full")).status_code == 404
    assert (await api["operator"].post("/chat", json=given, headers=key)).status_code == 200


async def test_an_unknown_conversation_has_no_events(api: Api):
    """Nor can it be resumed."""
    assert (await api["admin"].get("/chat/th_none/events")).status_code == 404
    resumed = await api["admin"].post("/chat/th_none/resume", json={"approval_id": "ap_1"})
    assert resumed.status_code == 404
