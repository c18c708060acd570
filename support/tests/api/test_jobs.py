"""Jobs over HTTP: started, listed, followed by events that survive a cut connection."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.doubles.api_client import Api, listening
from tests.doubles.sse import following

TRAINING = {"agent": "code_review", "mode": "demo"}


@pytest.fixture
async def url(api: Api) -> AsyncIterator[str]:
    """Return where the API listens."""
    async with listening(api) as url:
        yield url


def client(api: Api, url: str, role: str = "viewer") -> httpx.AsyncClient:
    """Return a client that streams."""
    return httpx.AsyncClient(base_url=url, headers=api.headers(role), timeout=120)


async def train(api: Api) -> str:
    """Start a training; return its job."""
    answer = await api["operator"].post("/modelops/train_subagent_model", json=TRAINING)
    assert answer.status_code == 200, answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


async def test_a_training_is_followed_to_its_end(api: Api, url: str):
    """Its own stream ends with it; the list, the log and the losses tell the rest."""
    api.workspace.build_dataset()
    job_id = await train(api)
    async with (
        client(api, url) as http,
        following(http, "GET", f"/jobs/{job_id}/events") as events,
    ):
        reports = [event async for event in events]
    assert {report.event for report in reports} == {"report"}
    last = reports[-1].data
    assert (last["status"], last["progress_pct"]) == ("completed", 100.0)
    assert (await api["viewer"].get(f"/jobs/{job_id}")).json() == last
    [listed] = (await api["viewer"].get("/jobs", params={"agent": "code_review"})).json()["jobs"]
    assert (listed["job_id"], listed["status"], listed["requester"]) == (
        job_id,
        "completed",
        "operator",
    )
    assert (await api["viewer"].get("/jobs", params={"status": "failed"})).json() == {"jobs": []}
    losses = (await api["viewer"].get(f"/jobs/{job_id}/losses")).json()["losses"]
    assert [step for step, _ in losses] == [1, 2, 3]
    assert "lines" in (await api["viewer"].get(f"/jobs/{job_id}/log", params={"tail": 5})).json()


async def test_events_are_taken_up_where_they_were_left(api: Api, url: str):
    """None is lost or comes twice, though the connection was cut and the server is another."""
    api.workspace.build_dataset()
    async with (
        client(api, url) as http,
        following(http, "GET", "/jobs/events", headers={"Last-Event-ID": "0"}) as events,
    ):
        job_id = await train(api)
        first = await anext(events)
    report: dict[str, Any] = {}
    while report.get("status") != "completed":  # a look at the job makes its events
        report = (await api["viewer"].get(f"/jobs/{job_id}")).json()
    async with (
        listening(api) as again,
        client(api, again) as http,
        following(http, "GET", "/jobs/events", headers={"Last-Event-ID": first.id}) as events,
    ):
        seen = [first]
        async for event in events:
            seen.append(event)
            if event.data["status"] == "completed":
                break
    kept = api.services.embedded.job_events.after(0)
    assert [int(event.id) for event in seen] == [event.seq for event in kept]
    assert [event.data["status"] for event in seen] == [event.status for event in kept]
    assert {event.event for event in seen} == {"job"}


async def test_a_stream_ends_when_the_server_does(api: Api, url: str):
    """So that a client takes it up elsewhere at once."""
    async with client(api, url) as http, following(http, "GET", "/jobs/events") as events:
        api.services.closing.set()
        assert [event async for event in events] == []


@pytest.mark.parametrize(
    "job_id", ["%2e%2e", "../../etc", "%2e%2e%2fx", "a b", "x" * 200, "job_none"]
)
async def test_an_id_is_no_path(api: Api, job_id: str):
    """What is no id, and what is not there, is refused."""
    for path in ("", "/log", "/losses", "/events"):
        answer = await api["viewer"].get(f"/jobs/{job_id}{path}")
        assert answer.status_code in {404, 422}


async def test_activity_is_followed_by_whoever_shows_it(api: Api, url: str):
    """What anybody does at any door appears, with a number to come back to."""
    api.workspace.build_dataset()
    async with client(api, url) as http, following(http, "GET", "/activity/events") as events:
        await train(api)
        event = await anext(events)
    assert (event.event, event.data["action"], event.data["actor"]) == (
        "activity",
        "job_started",
        "operator",
    )
    done = (await api["viewer"].get("/activity")).json()["activities"]
    assert event.data in done
