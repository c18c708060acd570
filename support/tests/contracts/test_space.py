"""What the client relies on of a training Space: the app on loopback, and with --live one's own."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contracts.conftest import EITHER
from tests.doubles.space import TOKEN, running_space
from tests.doubles.workshop import ROWS, training_spec
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.backends.hf_space import HfSpaceBackend
from agent_orchestrator.agents.infrastructure.modelops.backends.space_client import SpaceClient
from agent_orchestrator.domain.jobs import TERMINAL, Progress
from agent_orchestrator.errors import ConfigurationError, NotFoundError

BAD_ROW = {"kind": "bad_column", "message": "Row 2 has no messages.", "remedy": "Mend it."}


@pytest.fixture(params=EITHER)
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SpaceClient]:
    """Return a client of either half."""
    if request.param == "service":
        url, token = (os.environ.get(f"MODELOPS_SPACE_{name}") for name in ("URL", "TOKEN"))
        if not (url and token):
            pytest.skip("MODELOPS_SPACE_URL and MODELOPS_SPACE_TOKEN are not set")
        yield SpaceClient(url, token, os.environ.get("HUGGINGFACE_TOKEN"))
        return
    workspace = Workspace(tmp_path)
    workspace.scenario(failure=BAD_ROW)
    with running_space(tmp_path / "space", workspace.settings().trainer_python) as space:
        yield SpaceClient(space.url, TOKEN)


@pytest.fixture
def backend(client: SpaceClient, tmp_path: Path) -> HfSpaceBackend:
    """Return the backend."""
    return HfSpaceBackend(client, tmp_path / "artifacts")


async def test_a_space_says_what_it_can_do(backend: HfSpaceBackend):
    """With the token: versions of its engine, its disk, its jobs."""

    def look() -> bool:
        return backend.health().status != "checking"

    await eventually(look)
    health = backend.health()
    assert health.status == "ok", health.reasons
    assert health.engine["trl"]
    assert health.disk_free_bytes


def test_a_job_that_nobody_sent_is_not_known(backend: HfSpaceBackend):
    """Which is something else than a Space that does not answer."""
    with pytest.raises(NotFoundError):
        backend.poll({"job_id": f"job_{secrets.token_hex(4)}"})


def test_a_wrong_token_is_refused(client: SpaceClient):
    """As a matter of configuration."""
    with pytest.raises(ConfigurationError, match="refused"):
        SpaceClient(client.url, "not-the-token", client.hub_token).get("/jobs")


async def test_a_job_goes_there_and_its_diagnosis_comes_back(backend: HfSpaceBackend):
    """Sent twice it is one job; a broken row ends it before it costs anything."""
    job_id = f"job_{secrets.token_hex(4)}"
    broken = training_spec(rows=[ROWS[0], {"question": "?"}], output_model=f"local/{job_id}")
    ref = backend.submit(job_id, broken)
    assert backend.submit(job_id, broken) == ref

    def look() -> Progress | None:
        progress = backend.poll(ref)
        return progress if progress.status in TERMINAL else None

    progress = await eventually(look)
    assert progress.failure is not None
    assert progress.failure.kind == "bad_column"
    assert progress.failure.remedy
    backend.cancel(ref)  # after its end: nothing happens
    assert backend.poll(ref).status == "failed"
    assert isinstance(backend.logs(ref, 5), list)
