"""What we rely on of the Hugging Face Hub and of HF Jobs, through their own client."""

from __future__ import annotations

import hashlib
import json
import struct
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import RepositoryNotFoundError
from tests.contracts.hub_peers import GATED, OPEN, OPEN_PARAMETERS, HubPeer
from tests.doubles.workshop import tiny_base, training_spec

from agent_orchestrator.agents.infrastructure.modelops.backends.job_attempts import Machine
from agent_orchestrator.agents.infrastructure.modelops.backends.jobs_client import JobsClient
from agent_orchestrator.agents.infrastructure.modelops.hub.artifacts import pull
from agent_orchestrator.domain.jobs import TERMINAL
from agent_orchestrator.errors import InputError


def weights() -> bytes:
    """Return a safetensors file of one tensor of 1,000 numbers."""
    tensor = {"dtype": "F32", "shape": [10, 100], "data_offsets": [0, 4000]}
    header = json.dumps({"weight": tensor}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4000)


def put(peer: HubPeer, repo: str, files: Mapping[str, bytes], kind: str = "model") -> None:
    """Make a private repository of these files."""
    peer.hub.api.create_repo(repo, repo_type=kind, private=True)
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    peer.hub.api.create_commit(repo, operations, commit_message="put", repo_type=kind)


def test_a_public_model_tells_size_and_licence(hub_peer: HubPeer):
    """What a price and a warning rest on."""
    facts = hub_peer.hub.base_model(OPEN)
    assert facts.parameters == OPEN_PARAMETERS
    assert facts.licence is not None
    assert (facts.licence.id, facts.licence.notes) == ("apache-2.0", ())


def test_a_gated_model_is_open_to_the_token_or_explained(hub_peer: HubPeer):
    """Whichever of the two the account is."""
    if hub_peer.may_read(GATED):
        facts = hub_peer.hub.base_model(GATED)
        assert facts.licence is not None
        assert facts.licence.notes
        return
    with pytest.raises(InputError, match="is gated") as error:
        hub_peer.hub.base_model(GATED)
    assert GATED in error.value.remedy


def test_a_model_that_is_not_there_is_not_found(hub_peer: HubPeer):
    """By a message that names it."""
    name = f"{hub_peer.user}/absent-{uuid.uuid4().hex[:8]}"
    with pytest.raises(InputError, match=f"no model '{name}'"):
        hub_peer.hub.base_model(name)


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_files_go_up_and_come_back(hub_peer: HubPeer, tmp_path: Path, kind: str):
    """Small and large ones, listed with their hashes; a folder can be replaced in one commit."""
    api, repo = hub_peer.hub.api, hub_peer.repo(kind)
    put(hub_peer, repo, {"a/model.safetensors": weights(), "config.json": b"{}"}, kind)
    (large,) = api.get_paths_info(repo, ["a/model.safetensors"], repo_type=kind)
    assert large.lfs is not None  # type: ignore[union-attr]
    assert large.lfs.sha256 == hashlib.sha256(weights()).hexdigest()  # type: ignore[union-attr]
    folder = Path(api.snapshot_download(repo, repo_type=kind, local_dir=tmp_path))
    assert (folder / "a" / "model.safetensors").read_bytes() == weights()
    api.delete_folder("a", repo, repo_type=kind)
    assert set(api.list_repo_files(repo, repo_type=kind)) == {".gitattributes", "config.json"}
    api.delete_repo(repo, repo_type=kind)
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info(repo, repo_type=kind)


def test_a_pushed_model_can_be_fetched_and_trained_from(hub_peer: HubPeer, tmp_path: Path):
    """Its size is known from its file, and it arrives whole."""
    repo = hub_peer.repo()
    card = b"---\nlicense: mit\nbase_model: acme/base\nbase_model_relation: finetune\n---\n# Mine\n"
    put(
        hub_peer,
        repo,
        {"config.json": b"{}", "model.safetensors": weights(), "README.md": card, "x.py": b"1"},
    )
    folder = pull(hub_peer.hub, repo, tmp_path)
    assert (folder / "model.safetensors").read_bytes() == weights()
    assert not (folder / "x.py").exists()
    until = time.monotonic() + 90  # the service reads a new file's header in its own time
    while time.monotonic() < until:
        try:
            facts = hub_peer.hub.base_model(repo)
        except InputError:
            time.sleep(3)
        else:
            assert facts.parameters == 1000
            return
    pytest.fail("The size of the model did not appear on its page.")


def test_a_job_runs_says_something_and_is_found_by_its_label(hub_peer: HubPeer):
    """With its environment and secrets; the cheapest machine, some seconds."""
    hub_peer.needs_jobs()
    client = JobsClient(hub_peer.hub, hub_peer.user)
    machine = Machine(
        flavour="cpu-basic",
        image="python:3.12",
        command=("sh", "-c", 'echo "$GREETING ${#HF_TOKEN}"'),
        environment={"GREETING": "hello"},
        timeout_seconds=300,
    )
    job_id = f"contract-{uuid.uuid4().hex[:12]}"
    started = client.run(job_id, machine, from_step=3, part=1)
    until = time.monotonic() + hub_peer.patience
    while not (newest := client.attempts(job_id)[-1]).has_ended:
        assert time.monotonic() < until
        time.sleep(0.5)
    assert newest.id == started.id
    assert (newest.stage, newest.from_step, newest.part) == ("COMPLETED", 3, 1)
    lines = list(client.log(newest, follow=True))
    assert f"hello {len(hub_peer.hub.token or '')}" in lines


@pytest.mark.trainer
@pytest.mark.slow
def test_a_training_runs_from_submission_to_the_pushed_model(
    hub_peer: HubPeer, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    """The whole way of a job, with a model of ten thousand numbers on the cheapest machine."""
    hub_peer.needs_jobs()
    base, output = hub_peer.repo(), hub_peer.repo()
    tiny = tiny_base(tmp_path_factory.getbasetemp().parent)
    put(hub_peer, base, {path.name: path.read_bytes() for path in tiny.iterdir()})
    job_id = f"job_contract-{uuid.uuid4().hex[:8]}"
    hub_peer.own("dataset", f"{hub_peer.user}/code-chef-{job_id.replace('_', '-')}")
    backend = hub_peer.backend(tmp_path, max_hours=0.5)
    ref = backend.submit(job_id, training_spec(base, output_model=output, hardware="cpu-basic"))
    until = time.monotonic() + hub_peer.patience
    while (progress := backend.poll(ref)).status not in TERMINAL:
        assert time.monotonic() < until, progress
        time.sleep(1)
    assert progress.status == "completed", (progress, backend.logs(ref, 30))
    assert progress.current_step == 5
    assert (pull(hub_peer.hub, output, tmp_path / "artifacts") / "model.safetensors").is_file()
