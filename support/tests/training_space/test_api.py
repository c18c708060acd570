"""The Space's routes: what they answer, to whom, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.doubles.space import TOKEN, RunningSpace, running_space
from tests.doubles.workshop import training_spec
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.backends.space_protocol import (
    HEADER,
    TRAIN_REQUEST,
    TrainRequest,
    is_artifact_path,
)


def body(job_id: str = "job_1", **changes: Any) -> bytes:
    """Return what a client posts."""
    return TRAIN_REQUEST.dump_json(TrainRequest(job_id=job_id, spec=training_spec(**changes)))


def web(space: RunningSpace, token: str | None = TOKEN) -> httpx2.Client:
    """Return a bare HTTP client of the app."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx2.Client(base_url=space.url, headers=headers, timeout=60)


async def ended(http: httpx2.Client, job_id: str = "job_1") -> dict[str, Any]:
    """Return a job's status once it has ended."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = http.get(f"/status/{job_id}").raise_for_status().json()
        ends = {"completed", "failed", "cancelled"}
        return found if found["progress"]["status"] in ends else None

    return await eventually(look)


async def test_a_job_goes_through_the_queue_to_its_model(space: RunningSpace):
    """Posted, followed, read, fetched: by plain HTTP."""
    with web(space) as http:
        posted = http.post("/train", content=body())
        assert (posted.status_code, posted.json()["job_id"]) == (202, "job_1")
        done = await ended(http)
        assert done["progress"]["status"] == "completed"
        assert done["progress"]["current_step"] == 3
        assert done["progress"]["losses"] == [[1, 2.0], [2, 1.0], [3, pytest.approx(2 / 3)]]
        lines = http.get("/logs/job_1?tail=2").json()["lines"]
        assert [line.partition(":")[0] for line in lines] == ["step 2", "step 3"]
        (listed,) = http.get("/jobs").json()["jobs"]
        assert (listed["job_id"], listed["progress"]["losses"]) == ("job_1", [])
        files = http.get("/artifacts/job_1").json()["files"]
        assert [file["path"] for file in files] == ["config.json", "model.safetensors"]
        weights = http.get("/artifacts/job_1/model.safetensors").content
        assert len(weights) == files[1]["bytes"]
        part = http.get("/artifacts/job_1/model.safetensors", headers={"Range": "bytes=10-"})
        assert (part.status_code, part.content) == (206, weights[10:])


async def test_a_model_can_be_removed(space: RunningSpace):
    """The job stays on record; removing again does nothing, and there is nothing to fetch."""
    with web(space) as http:
        http.post("/train", content=body())
        await ended(http)
        folder = space.artifacts / "local" / "better"
        assert folder.is_dir()
        for _ in range(2):
            assert http.delete("/artifacts/job_1").status_code == 200
        assert not list(folder.parent.iterdir())
        assert http.get("/artifacts/job_1").status_code == 404
        assert http.get("/status/job_1").json()["progress"]["status"] == "completed"
        assert http.delete("/artifacts/job_nobody").status_code == 404


async def test_a_known_id_starts_nothing_new(space: RunningSpace):
    """Whoever is not sure whether the first request arrived sends it again."""
    with web(space) as http:
        assert http.post("/train", content=body()).status_code == 202
        await ended(http)
        again = http.post("/train", content=body())
        assert (again.status_code, again.json()["progress"]["status"]) == (200, "completed")
        assert len(http.get("/jobs").json()["jobs"]) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/train"),
        ("GET", "/jobs"),
        ("GET", "/status/job_1"),
        ("GET", "/logs/job_1"),
        ("POST", "/cancel/job_1"),
        ("GET", "/artifacts/job_1"),
        ("GET", "/artifacts/job_1/model.safetensors"),
        ("DELETE", "/artifacts/job_1"),
        ("GET", "/no-such-route"),
    ],
)
def test_nothing_but_health_is_told_without_the_token(
    idle_space: RunningSpace, method: str, path: str
):
    """A missing token and a wrong one are refused alike, before anything else is looked at."""
    for token in (None, "wrong", TOKEN + "x", "ü"):
        headers = {"Authorization": f"Bearer {token}".encode()} if token else {}
        with httpx2.Client(base_url=idle_space.url, headers=headers) as http:
            refused = http.request(method, path)
        assert refused.status_code == 401
        assert refused.headers[HEADER] == "1"
        assert "MODELOPS_SPACE_TOKEN" in refused.json()["remedy"]
    assert TOKEN not in "".join(idle_space.log)


async def test_health_says_what_the_space_can_do(space: RunningSpace):
    """Strangers learn whether it is well; who has the token, the engine's versions and the room."""
    with web(space) as http, web(space, token=None) as stranger:
        health = await eventually(
            lambda: h if (h := http.get("/health").json())["status"] != "checking" else None
        )
        assert (health["status"], health["engine"]) == ("ok", {"torch": "2.0", "trl": "1.0"})
        assert health["disk_free_bytes"] > 0
        told = stranger.get("/health").json()
        assert (told["status"], told["engine"], told["disk_free_bytes"]) == ("ok", {}, None)


async def test_a_space_whose_engine_is_broken_says_so_and_takes_no_job(
    workspace: Workspace, tmp_path: Path
):
    """The last line of the interpreter's traceback reaches whoever asks."""
    workspace.scenario(broken="ImportError: no torch")
    python = workspace.settings().trainer_python
    with running_space(tmp_path / "space", python) as space, web(space) as http:
        health = await eventually(
            lambda: h if (h := http.get("/health")).json()["status"] == "degraded" else None
        )
        assert health.status_code == 503
        assert "ImportError: no torch" in health.json()["reasons"][0]
        refused = http.post("/train", content=body())
        assert (refused.status_code, refused.json()["error"]) == (503, "UnavailableError")
        assert "ImportError: no torch" in refused.json()["message"]


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"", 422, "Invalid JSON"),
        (b"[]", 422, "an object"),
        (b'{"job_id": "job_1"}', 422, "spec"),
        (body("../escape"), 422, "Not a job id"),
        (body(".hidden"), 422, "Not a job id"),
        (body("a/b"), 422, "Not a job id"),
        (body("x" * 200), 422, "job_id"),
        (body(output_model="../outside"), 422, "outside"),
        (body().replace(b'"agent":', b'"colour":1,"agent":'), 422, "colour"),
    ],
)
def test_a_request_that_is_wrong_is_refused_by_name(
    idle_space: RunningSpace, content: bytes, status: int, said: str
):
    """What was wrong is said, and no folder is made."""
    with web(idle_space) as http:
        refused = http.post("/train", content=content)
    assert refused.status_code == status
    assert said in json.dumps(refused.json())
    assert not list(idle_space.jobs.glob("*"))


@pytest.mark.parametrize(
    "path",
    [
        "/status/job_nobody",
        "/logs/job_nobody",
        "/artifacts/job_nobody",
        "/artifacts/job_nobody/model.safetensors",
    ],
)
def test_a_job_that_is_not_there_is_not_found(idle_space: RunningSpace, path: str):
    """By every route."""
    with web(idle_space) as http:
        refused = http.get(path)
    assert (refused.status_code, refused.json()["error"]) == (404, "NotFoundError")


@pytest.mark.parametrize("tail", ["-1", "x", "100000", ""])
def test_the_number_of_lines_is_checked(idle_space: RunningSpace, tail: str):
    """No request reads a whole log into memory."""
    with web(idle_space) as http:
        assert http.get("/logs/job_1", params={"tail": tail}).status_code == 422


def test_a_request_that_is_too_large_is_refused(workspace: Workspace, tmp_path: Path):
    """Before it is read whole."""
    python = workspace.settings().trainer_python
    limit = {"CHEF_SPACE_UPLOAD_MB": "1"}
    with running_space(tmp_path / "space", python, variables=limit) as space, web(space) as http:
        refused = http.post("/train", content=b" " * (2 * 1024 * 1024))
        assert (refused.status_code, refused.headers[HEADER]) == (413, "1")


async def test_only_the_models_own_files_are_handed_out(space: RunningSpace):
    """Not the job's, not a pickle that somebody put beside them, not what a link leads to."""
    with web(space) as http:
        http.post("/train", content=body())
        await ended(http)
        folder = space.artifacts / "local" / "better"
        (folder / "extra.bin").write_bytes(b"pickle")
        manifest = json.loads((space.jobs / "job_1" / "manifest.json").read_text())
        manifest["files"] += [
            {"path": path, "sha256": "", "bytes": 1}
            for path in ("extra.bin", "../../../jobs/job_1/spec.json", "link.json")
        ]
        (folder / "link.json").symlink_to(space.jobs / "job_1" / "spec.json")
        (space.jobs / "job_1" / "manifest.json").write_text(json.dumps(manifest))
        for path in (
            "extra.bin",
            "../../../jobs/job_1/spec.json",
            "..%2f..%2f..%2fjobs%2fjob_1%2fspec.json",
            "link.json",
            "%2fetc%2fpasswd",
            "tokenizer.json",
        ):
            assert http.get(f"/artifacts/job_1/{path}").status_code == 404, path
        assert http.get("/artifacts/job_1/config.json").status_code == 200


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("model.safetensors", True),
        ("model-00001-of-00002.safetensors", True),
        ("1_Pooling/config.json", True),
        ("pytorch_model.bin", False),
        ("../config.json", False),
        ("/config.json", False),
        (".hidden.json", False),
        ("a\\..\\b.json", False),
        ("", False),
    ],
)
def test_what_may_be_part_of_a_model(path: str, expected: bool):
    """Weights without pickles, configuration and tokenizer, inside the folder."""
    assert is_artifact_path(path) is expected
