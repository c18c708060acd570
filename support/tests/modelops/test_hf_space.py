"""The Space's client: what it repeats, what it explains, what it fetches."""

import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from aiohttp import web
from tests.doubles.runners import end
from tests.doubles.workshop import training_spec

from agent_orchestrator.agents.infrastructure.modelops.backends.hf_space import HfSpaceBackend
from agent_orchestrator.agents.infrastructure.modelops.backends.space_client import (
    Patience,
    SpaceClient,
)
from agent_orchestrator.agents.infrastructure.modelops.backends.space_protocol import (
    HEADER,
    HUB_AUTHORIZATION,
)
from agent_orchestrator.errors import (
    ChefError,
    ConfigurationError,
    FailedError,
    InputError,
    NotFoundError,
    StorageError,
    UnavailableError,
)

QUICK = Patience(attempts=3, first_pause_s=0.0, longest_pause_s=0.0)
OURS = {HEADER: "1"}
STATUS = {"job_id": "job_1", "progress": {"status": "running", "message": "training"}}
REF = {"job_id": "job_1"}


class ScriptedSpace:
    """Answers each request with the next of its script, and remembers what was asked."""

    def __init__(self, *script: Callable[[], web.StreamResponse] | None) -> None:
        """None in the script breaks the connection off."""
        self._script: Iterator[Any] = iter(script)
        self.asked: list[web.Request] = []
        self.bodies: list[bytes] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self.asked.append(request)
        self.bodies.append(await request.read())
        make = next(self._script)
        if make is None:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        response: web.StreamResponse = make()
        return response


def said(status: int, document: Any = None, **headers: str) -> Callable[[], web.Response]:
    """Return an answer of the app itself."""
    return lambda: web.json_response(document, status=status, headers={**OURS, **headers})


def page(status: int, **headers: str) -> Callable[[], web.Response]:
    """Return a page that somebody in between shows."""
    return lambda: web.Response(
        status=status, text="<html></html>", content_type="text/html", headers=headers
    )


@asynccontextmanager
async def scripted(space: ScriptedSpace) -> AsyncIterator[str]:
    """Serve a script; give its URL."""
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", space.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await end(runner)


async def asked(space: ScriptedSpace, folder: Path, what: Callable[[HfSpaceBackend], Any]) -> Any:
    """Let a client ask a scripted Space."""
    async with scripted(space) as url:
        client = SpaceClient(url, "secret", patience=QUICK, sleep=lambda _: None)
        return await anyio.to_thread.run_sync(what, HfSpaceBackend(client, folder))


@pytest.mark.parametrize("trouble", [None, page(502), page(503), page(504), page(429)])
async def test_a_call_is_repeated_until_the_space_answers(tmp_path: Path, trouble: Any):
    """A broken connection and a proxy's excuse cost a pause, no job."""
    space = ScriptedSpace(trouble, trouble, said(200, STATUS))
    progress = await asked(space, tmp_path, lambda backend: backend.poll(REF))
    assert (progress.status, progress.message) == ("running", "training")
    assert [request.path for request in space.asked] == ["/status/job_1"] * 3


async def test_a_submission_whose_answer_was_lost_is_sent_again(tmp_path: Path):
    """With the same id, so that the Space starts one job."""
    space = ScriptedSpace(None, said(200, STATUS))
    ref = await asked(space, tmp_path, lambda backend: backend.submit("job_1", training_spec()))
    assert ref["job_id"] == "job_1"
    assert space.bodies[0] == space.bodies[1]
    sent = json.loads(space.bodies[0])
    assert (sent["job_id"], sent["spec"]["method"]) == ("job_1", "sft")
    assert space.asked[0].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("answer", "kind", "match"),
    [
        (page(503), UnavailableError, "asleep, being built, paused"),
        (page(200), UnavailableError, "asleep, being built, paused"),
        (page(404), ConfigurationError, "MODELOPS_SPACE_URL.*HUGGINGFACE_TOKEN"),
        (page(401), ConfigurationError, "HUGGINGFACE_TOKEN"),
        (None, UnavailableError, "cannot be reached"),
        (said(401, {"message": "No.", "remedy": "Set T."}), ConfigurationError, "No. Set T."),
        (said(404, {"message": "No.", "remedy": ""}), NotFoundError, "No."),
        (said(413, {"message": "x", "remedy": ""}), InputError, "CHEF_SPACE_UPLOAD_MB"),
        (said(422, {"message": "No.", "remedy": ""}), InputError, "No."),
        (said(503, {"message": "Full.", "remedy": ""}), UnavailableError, "Full."),
        (said(507, {"message": "Full.", "remedy": ""}), StorageError, "Full."),
        (said(500, ["odd"]), FailedError, "answered 500"),
        (said(200, {"job_id": 1}), FailedError, "not understood"),
        (said(200, STATUS, **{HEADER: "2"}), ConfigurationError, "protocol '2'"),
    ],
)
async def test_what_went_wrong_is_said(
    tmp_path: Path, answer: Any, kind: type[ChefError], match: str
):
    """As an error that says what to do; a stranger's 404 never means that the job is lost."""
    with pytest.raises(kind, match=match) as told:
        await asked(ScriptedSpace(*[answer] * 3), tmp_path, lambda backend: backend.poll(REF))
    assert type(told.value) is kind
    assert "secret" not in str(told.value)


async def test_what_the_app_itself_refuses_is_not_repeated(tmp_path: Path):
    """A full queue is as full in half a second."""
    space = ScriptedSpace(said(503, {"message": "Full.", "remedy": ""}), said(200, STATUS))
    with pytest.raises(UnavailableError):
        await asked(space, tmp_path, lambda backend: backend.poll(REF))
    assert len(space.asked) == 1


async def test_the_hubs_token_goes_to_the_hub_alone(tmp_path: Path):
    """It opens private Spaces, which are on https://….hf.space; nobody else gets to see it."""
    space = ScriptedSpace(said(200, STATUS))
    async with scripted(space) as url:
        client = SpaceClient(url, "secret", "hf_private")
        await anyio.to_thread.run_sync(HfSpaceBackend(client, tmp_path).poll, REF)
    assert HUB_AUTHORIZATION not in space.asked[0].headers
    assert "hf_private" not in repr(client)
    assert "secret" not in repr(client)
    for place, sent in (
        ("https://me-trainer.hf.space", "Bearer hf_private"),
        ("http://me-trainer.hf.space", None),
        ("https://hf.space.example.org", None),
    ):
        with SpaceClient(place, None, "hf_private")._client() as http:
            assert http.headers.get(HUB_AUTHORIZATION) == sent


@pytest.mark.parametrize(
    ("attempt", "asked_for", "share", "pause"),
    [
        (0, None, 0.0, 0.25),
        (0, None, 1.0, 0.5),
        (3, None, 1.0, 4.0),
        (9, None, 1.0, 15.0),
        (0, 7.0, 0.0, 7.0),
        (0, 900.0, 0.0, 15.0),
    ],
)
def test_pauses_grow_vary_and_end(
    attempt: int, asked_for: float | None, share: float, pause: float
):
    """Twice as long each time, half of it by chance, at most fifteen seconds."""
    assert Patience().pause(attempt, asked_for, share) == pause


WEIGHTS = bytes(range(256)) * 8
LISTED = {
    "path": "model.safetensors",
    "sha256": hashlib.sha256(WEIGHTS).hexdigest(),
    "bytes": len(WEIGHTS),
}


def listing(*files: dict[str, Any]) -> Callable[[], web.Response]:
    """Return the answer about a model's files."""
    return said(200, {"files": list(files or (LISTED,))})


def content(data: bytes, status: int = 200) -> Callable[[], web.Response]:
    """Return (a part of) a file."""
    return lambda: web.Response(status=status, body=data, headers=OURS)


def test_model(folder: Path) -> bytes | None:
    """Return the fetched weights, None without any."""
    path = folder / "me" / "model" / "model.safetensors"
    return path.read_bytes() if path.exists() else None


test_model.__test__ = False  # type: ignore[attr-defined]


async def test_a_model_is_fetched_whole_and_once(tmp_path: Path):
    """Under its id; a second time nothing is asked."""
    space = ScriptedSpace(listing(), content(WEIGHTS))

    def fetch(backend: HfSpaceBackend) -> None:
        backend.fetch(REF, "me/model")
        backend.fetch(REF, "me/model")

    await asked(space, tmp_path, fetch)
    assert test_model(tmp_path) == WEIGHTS
    assert len(space.asked) == 2


async def test_a_fetch_that_was_cut_off_goes_on(tmp_path: Path):
    """Only what is missing is asked for, also by the next process."""
    partial = tmp_path / "me" / ".model.partial"
    partial.mkdir(parents=True)
    (partial / "model.safetensors").write_bytes(WEIGHTS[:100])
    space = ScriptedSpace(listing(), content(WEIGHTS[100:], 206))
    await asked(space, tmp_path, lambda backend: backend.fetch(REF, "me/model"))
    assert space.asked[1].headers["Range"] == "bytes=100-"
    assert test_model(tmp_path) == WEIGHTS


async def test_a_damaged_file_is_fetched_again_and_never_kept(tmp_path: Path):
    """The hash decides; when it never fits, no model appears."""
    wrong = bytes(len(WEIGHTS))
    space = ScriptedSpace(listing(), content(wrong), content(WEIGHTS))
    await asked(space, tmp_path / "a", lambda backend: backend.fetch(REF, "me/model"))
    assert test_model(tmp_path / "a") == WEIGHTS
    space = ScriptedSpace(listing(), *[content(wrong)] * 5)
    with pytest.raises(UnavailableError, match="could not be fetched whole"):
        await asked(space, tmp_path / "b", lambda backend: backend.fetch(REF, "me/model"))
    assert test_model(tmp_path / "b") is None


@pytest.mark.parametrize("path", ["../../evil.json", "/etc/evil.json", "model.bin", ".ssh/x.json"])
async def test_a_space_cannot_write_elsewhere(tmp_path: Path, path: str):
    """Nor hand out a pickle."""
    space = ScriptedSpace(listing({**LISTED, "path": path}))
    with pytest.raises(FailedError, match="no part of a model"):
        await asked(space, tmp_path, lambda backend: backend.fetch(REF, "me/model"))
    assert not any("evil" in name for _, _, names in os.walk(tmp_path) for name in names)


async def test_a_model_that_finds_no_room_is_not_begun(tmp_path: Path):
    """The message has both sizes."""
    space = ScriptedSpace(listing({**LISTED, "bytes": 10**18}))
    with pytest.raises(StorageError, match="MiB are left"):
        await asked(space, tmp_path, lambda backend: backend.fetch(REF, "me/model"))
