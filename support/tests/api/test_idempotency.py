"""Requests that are sent again with their key: answered as before, never carried out again."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Response
from tests.api.test_chat import DEPLOY, client, register
from tests.doubles.api_client import Api, listening, opened_api
from tests.doubles.sse import SseEvent, following
from tests.doubles.workspace import Workspace

from agent_orchestrator.api.answers import KEPT_SECONDS, Answers
from agent_orchestrator.api.idempotency import OnceOnly
from agent_orchestrator.errors import FailedError, Forbidden
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.kept_answers import Claim, KeptAnswerStore

TRAIN = {"agent": "code_review", "mode": "demo"}
PATH = "/modelops/train_subagent_model"
CLAIM = Claim("ada", "a" * 64, "b" * 64)

DIES = """
import asyncio, os, signal, sys
from agent_orchestrator.api.answers import Answers
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.kept_answers import Claim, KeptAnswerStore
async def work():
    answers = Answers(KeptAnswerStore(Database(sys.argv[1])))
    async with answers.claimed(Claim("ada", "a" * 64, "b" * 64)) as turn:
        assert turn.kept is None
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(work())
"""


async def train(api: Api, key: str, role: Any = "operator", **changes: Any) -> httpx.Response:
    """Ask for a training with a key."""
    return await api[role].post(PATH, json=TRAIN | changes, headers={"Idempotency-Key": key})


async def test_a_request_that_is_sent_again_is_answered_as_before(workspace: Workspace):
    """Status and body are the same, also in the server's next life; one job was started."""
    workspace.build_dataset()
    async with opened_api(workspace) as api:
        first = await train(api, "k1")
        assert "Idempotent-Replayed" not in first.headers
        again = await train(api, '"k1"')  # a structured field's string
    async with opened_api(workspace) as api:
        later = await train(api, "k1")
        assert len(api.services.embedded.jobs.newest()) == 1
        other = await train(api, "k2")
        assert other.json()["job_id"] != first.json()["job_id"]
    for replayed in (again, later):
        assert (replayed.status_code, replayed.text) == (first.status_code, first.text)
        assert replayed.headers["Idempotent-Replayed"] == "true"
        assert replayed.headers["Content-Type"] == first.headers["Content-Type"]


async def test_a_key_is_of_one_request_and_one_caller(api: Api):
    """Another body or path is refused; somebody else's key of that name is another one."""
    api.workspace.build_dataset()
    asked = await train(api, "k")
    other = await train(api, "k", max_examples=5)
    assert (other.status_code, other.json()["type"]) == (
        422,
        "urn:code-chef:problem:key-reused-error",
    )
    assert other.json()["remedy"]
    path = "/modelops/build_dataset"
    elsewhere = await api["operator"].post(
        path, json={"agent": "code_review", "source": "x"}, headers={"Idempotency-Key": "k"}
    )
    assert elsewhere.status_code == 422
    admins = await train(api, "k", role="admin")
    assert admins.json()["job_id"] != asked.json()["job_id"]


async def test_of_twins_at_the_same_time_one_is_carried_out(api: Api):
    """The others hear that it is under way, or its answer; afterwards everybody does."""
    api.workspace.build_dataset()
    answers = await asyncio.gather(*(train(api, "twins") for _ in range(6)))
    assert len(api.services.embedded.jobs.newest()) == 1
    done = {answer.text for answer in answers if answer.status_code == 200}
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(done) == 1
    assert {answer.json()["type"] for answer in refused} <= {
        "urn:code-chef:problem:key-in-use-error"
    }
    assert {answer.status_code for answer in refused} <= {409}
    assert (await train(api, "twins")).text in done


async def test_a_request_for_an_approval_is_asked_once(workspace: Workspace):
    """Sent again it names the same approval; so is the approver's answer, and what comes of it."""
    register(workspace)
    async with opened_api(workspace) as api:
        given = {"agent": "code_review", "version": "v1.1.0", "strategy": "immediate"}
        headers = {"Idempotency-Key": "deploy"}
        asked = [
            await api["operator"].post(
                "/modelops/deploy_model_to_agent", json=given, headers=headers
            )
            for _ in range(2)
        ]
        assert [answer.status_code for answer in asked] == [202, 202]
        assert asked[0].text == asked[1].text
        [waiting] = await api.services.embedded.coordinator.pending_approvals()
        path = f"/approvals/{waiting.id}"
        early = await api["operator"].post(f"{path}/resume", headers=headers | {"X": "1"})
        assert early.status_code == 422  # the key of another request
        headers = {"Idempotency-Key": "go"}
        assert (await api["operator"].post(f"{path}/resume", headers=headers)).status_code == 403
        said = [
            await api["approver"].post(f"{path}/answer", json={"approve": True}, headers=headers)
            for _ in range(2)
        ]
        assert [answer.status_code for answer in said] == [200, 200]
        assert said[0].text == said[1].text
        # What was refused did nothing, so its key was free again.
        done = [await api["operator"].post(f"{path}/resume", headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in done] == [200, 200]
        assert done[0].text == done[1].text


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 5000, b"{}"])
async def test_any_body_has_its_own_identity(api: Api, body: bytes):
    """Also where none is wanted, and what is no JSON: it is told apart, and breaks nothing."""
    path = "/approvals/ap_none/resume"
    headers = {"Idempotency-Key": "x", "Content-Type": "application/json"}
    for _ in range(2):
        answer = await api["operator"].post(path, content=body, headers=headers)
        assert answer.status_code == 404


async def test_what_was_said_is_said_once(workspace: Workspace):
    """Sent again it tells the same turn from its beginning to its end, and not the next one."""
    register(workspace)
    async with (
        opened_api(workspace) as api,
        listening(api) as url,
        client(api, url, "operator") as http,
    ):

        async def told(path: str, given: dict[str, str], key: str) -> list[SseEvent]:
            headers = {"Idempotency-Key": key}
            async with following(http, "POST", path, json=given, headers=headers) as events:
                return [event async for event in events]

        first = await told("/chat", {"message": DEPLOY}, "a")
        thread = first[0].data["thread_id"]
        again = await told("/chat", {"message": DEPLOY}, "a")
        assert [e for e in again if e.event != "token"] == [e for e in first if e.event != "token"]
        [asked] = [e.data["approval_id"] for e in first if e.event == "approval_required"]
        await api["approver"].post(f"/approvals/{asked}/answer", json={"approve": True})
        given = {"approval_id": asked}
        resumed = await told(f"/chat/{thread}/resume", given, "b")
        await told("/chat", {"message": "list the models of cicd", "thread_id": thread}, "c")
        once_more = await told(f"/chat/{thread}/resume", given, "b")
        kept = [event for event in resumed if event.event != "token"]
        assert [event for event in once_more if event.event != "token"] == kept
        assert [event.event for event in kept].count("end") == 1


async def test_a_request_that_was_cut_off_is_not_carried_out_again(tmp_path: Path):
    """Nobody knows whether it was done: the next one is told so, and to use a new key."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    assert die_at_work(url) == -signal.SIGKILL
    with closing(Database(url)) as database:
        asked = await answered(OnceOnly(Answers(KeptAnswerStore(database)), CLAIM), never)
    assert "cut off" in asked


def die_at_work(url: str) -> int:
    """Let a process claim a key and be killed; return its code."""
    return subprocess.run([sys.executable, "-c", DIES, url], check=False).returncode


async def answered(once: OnceOnly, work: Callable[[], Awaitable[Response]]) -> str:
    """Return what is answered, or the error."""
    try:
        return bytes((await once.answered(work)).body).decode()
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return str(error)


async def never() -> Response:
    """Be called by nobody."""
    raise AssertionError("It was carried out.")


@pytest.mark.parametrize(
    ("error", "kept"), [(FailedError("It broke."), True), (Forbidden("Not you."), False)]
)
async def test_what_failed_is_an_answer_and_what_was_refused_is_none(
    tmp_path: Path, error: Exception, kept: bool
):
    """Trying again what failed takes a new key; what was refused has done nothing."""

    async def fails() -> Response:
        raise error

    async def works() -> Response:
        return Response("done", media_type="text/plain")

    with closing(Database(f"sqlite:///{tmp_path / 'state.db'}")) as database:
        once = OnceOnly(Answers(KeptAnswerStore(database)), CLAIM)
        assert str(error) in await answered(once, fails)
        again = await answered(once, works)
        assert (str(error) in again) is kept
        assert (again == "done") is not kept


async def test_keys_are_forgotten_after_a_day(tmp_path: Path):
    """Then the same key is a new one; what lies there is no more than a day's."""
    now = [1000.0]
    with closing(Database(f"sqlite:///{tmp_path / 'state.db'}")) as database:
        store = KeptAnswerStore(database)
        once = OnceOnly(Answers(store, clock=lambda: now[0]), CLAIM)

        async def works() -> Response:
            return Response(f"done at {now[0]:.0f}", media_type="text/plain")

        assert await answered(once, works) == "done at 1000"
        now[0] += KEPT_SECONDS
        assert await answered(once, works) == "done at 1000"
        now[0] += 1
        assert await answered(once, works) == f"done at {now[0]:.0f}"
        assert store.prune(now[0] + 1) == 1


async def test_neither_keys_nor_requests_are_stored(api: Api):
    """Whoever puts a secret into either finds only a hash of it."""
    secret = "hunter2-in-a-key"
    headers = {"Idempotency-Key": secret}
    given = {"agent": "code_review", "source": secret}
    await api["operator"].post("/modelops/build_dataset", json=given, headers=headers)
    api.workspace.build_dataset()
    await train(api, secret + "-2")
    state = api.workspace.state
    found = [p for p in state.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]
    assert found == []
