"""Each diagnosed cause of a failure, met by a real worker on a Space and shown by ``chef``."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Chef, SpaceFor
from tests.doubles import workshop
from tests.doubles.hub import READ, Account, HubDouble
from tests.doubles.workspace import Workspace

pytestmark = [pytest.mark.trainer, pytest.mark.slow]

TRAIN = ("train", "code_review", "--base-model")
TINY = "local/tiny-code"
QUICK = ("lora=null", "max_steps=2", "batch_size=8", "gradient_accumulation=1", "max_length=128")
#: Runs the Space's app, and all that it starts, in a container with a limit of its own.
CONTAINER = """
import resource, runpy, sys
limit, sys.argv = int(sys.argv[1]), ["space"]
resource.setrlimit(resource.{kind}, (limit, limit))
runpy.run_module("agent_orchestrator.training_space.process", run_name="__main__")
"""


#: Runs the Space's app where a disk of its own holds the models: the base, and hardly more.
SMALL_DISK = """
import os, sys
mount = 'mkdir -p "$1" && mount -t tmpfs -o size="$2" none "$1" && cp -r "$3" "$1/tiny-code"'
app = 'exec "$0" -m agent_orchestrator.training_space.process'
command = ["sh", "-c", f"{mount} && {app}", sys.executable, *sys.argv[1:]]
os.execvp("unshare", ["unshare", "-Urm", *command])
"""


def with_limit(kind: str, most: int) -> dict[str, Any]:
    """Return how the Space's app is run with a limit of its operating system's."""
    return {"program": ("-c", CONTAINER.format(kind=kind)), "arguments": (str(most),)}


@pytest.fixture(autouse=True)
def source(workspace: Workspace, chef: Chef) -> None:
    """Have a data set."""
    assert (
        chef("build-dataset", "code_review", "--source", str(workspace.write_examples())).code == 0
    )


def options(*overrides: str) -> list[str]:
    """Return hyperparameters as options."""
    return [word for override in (*QUICK, *overrides) for word in ("--overrides", override)]


def failed(chef: Chef, *arguments: str) -> dict[str, str]:
    """Train to the failure; return the diagnosis, which ``chef job`` shows too, with its remedy."""
    done = chef(*arguments, "--wait", "--json")
    assert done.code == 1, (done.out, done.err)
    report = done.json
    assert report["status"] == "failed"
    error: dict[str, str] = report["error"]
    shown = chef("job", report["job_id"])
    assert " ".join(error["remedy"].split()) in " ".join((shown.out + shown.err).split())
    return error


def test_out_of_memory(workspace: Workspace, chef: Chef, space_for_chef: SpaceFor):
    """A batch that the container's memory does not hold; what to lower is named."""
    space_for_chef(**with_limit("RLIMIT_DATA", 600 * 1024**2))
    rows = [
        {
            "inputs": {"task": f"Say {number}, {number * number} and {'more ' * 50}."},
            "outputs": {"answer": f"yes, {number}"},
            "metadata": {"agent": "code_review", "success": True},
        }
        for number in range(300)
    ]
    source = str(workspace.write_rows(rows, "long"))
    assert chef("build-dataset", "code_review", "--source", source).code == 0
    large = options("batch_size=200", "max_length=512", "auto_batch_size=false")
    error = failed(chef, *TRAIN, TINY, *large)
    assert error["kind"] == "out_of_memory", error
    assert "Lower batch_size or max_length" in error["remedy"]


def test_a_full_disk(chef: Chef, space_for_chef: SpaceFor, workspace: Workspace):
    """The model finds no room where it is saved; nothing half-written is brought here."""
    space = space_for_chef(**with_limit("RLIMIT_FSIZE", 32 * 1024))
    error = failed(chef, *TRAIN, TINY, *options())
    assert error["kind"] == "disk_full", error
    assert "Free some space" in error["remedy"]
    assert not list(space.artifacts.glob("*/code-chef-*"))
    assert not list((workspace.state / "artifacts").glob("*/code-chef-*"))


def test_a_disk_that_has_no_room_left(
    chef: Chef,
    space_for_chef: SpaceFor,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
):
    """The kernel says it, the worker passes it on."""
    if subprocess.run(["unshare", "-Urm", "true"], check=False).returncode:
        pytest.skip("No mount namespaces for users here.")
    base = workshop.tiny_base(tmp_path_factory.getbasetemp().parent)
    models = tmp_path / "space" / "space" / "artifacts" / "local"
    size = sum(path.stat().st_size for path in base.iterdir()) + 48 * 1024
    space_for_chef(program=("-c", SMALL_DISK), arguments=(str(models), str(size), str(base)))
    error = failed(chef, *TRAIN, TINY, *options())
    assert error["kind"] == "disk_full", error
    assert re.search("No space left on device|os error 28", error["message"]), error


def test_a_time_out(chef: Chef, space_for_chef: SpaceFor, workspace: Workspace):
    """The limit of hours ends what takes longer than was estimated; it is named in seconds."""
    space_for_chef()
    path = workspace.config / "modelops" / "training_defaults.yaml"
    text = path.read_text()
    assert "max_hours: 6 " in text
    path.write_text(text.replace("max_hours: 6 ", "max_hours: 0.0051 "))
    error = failed(chef, *TRAIN, TINY, *options("max_steps=20000"))
    assert error["kind"] == "timeout", error
    assert "max_seconds = 18.36" in error["message"]


@pytest.fixture
def hub(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    """Return a Hub with a gated model that the token of ``chef`` has not been granted."""
    with HubDouble() as double:
        double.repos.add_model("meta/gated", parameters=300_000, gated="manual")
        for name, value in double.environment(READ).items():
            monkeypatch.setenv(name, value)
        yield double


def test_a_gated_model(
    chef: Chef,
    space_for_chef: SpaceFor,
    hub: HubDouble,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """Refused before there is a job; a Space whose own token lacks the access says so as well."""
    on_the_hub = hub.environment(READ) | {"HF_HUB_OFFLINE": "0"}
    space = space_for_chef(on_the_hub | {"HF_HOME": str(tmp_path / "hf")})
    refused = chef(*TRAIN, "meta/gated", *options())
    assert refused.code == 2
    assert f"Open {hub.url}/meta/gated, accept the terms" in refused.err
    assert chef("jobs", "--json").json == []
    hub.accounts["hf_granted"] = Account(granted=frozenset({"meta/gated"}))
    monkeypatch.setenv("HUGGINGFACE_TOKEN", "hf_granted")
    error = failed(chef, *TRAIN, "meta/gated", *options())
    assert error["kind"] == "gated_model", error
    assert "HUGGINGFACE_TOKEN" in error["remedy"]
    assert READ not in "".join(path.read_text() for path in space.jobs.glob("*/*.log"))


def test_a_bad_column(chef: Chef, space_for_chef: SpaceFor, workspace: Workspace):
    """Refused where it is seen; rows that are damaged while their job waits are named by it."""
    rows = [{"question": "What?", "reply": "That."}] * 20
    source = str(workspace.write_rows(rows, "wrong"))
    refused = chef("build-dataset", "code_review", "--source", source)
    assert refused.code == 2, refused
    assert "question" in refused.err
    refused = chef(*TRAIN, TINY, "--method", "dpo", *options())
    assert refused.code == 2
    assert "chosen and rejected" in refused.err
    space = space_for_chef()
    before = chef(*TRAIN, TINY, *options("max_steps=100000"), "--json").json["job_id"]
    job_id = chef(*TRAIN, TINY, *options(), "--json").json["job_id"]
    damaged = space.jobs / job_id / "train.jsonl"
    first, *rest = damaged.read_text().splitlines(keepends=True)
    damaged.write_text("".join([first, '{"question": "What?"}\n', *rest[1:]]))
    assert chef("cancel", before).code == 0
    done = chef("job", job_id, "--follow", "--json")
    error = done.json["error"]
    assert error["kind"] == "bad_column", error
    assert "row 2" in error["message"]
    assert "'prompt' and 'completion'" in error["remedy"]
