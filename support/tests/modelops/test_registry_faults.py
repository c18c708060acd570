"""The registry among several processes, killed writers, torn files and full disks."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic_core import from_json

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.domain.models import EvalScores
from agent_orchestrator.domain.registry import Registry
from agent_orchestrator.errors import LockTimeout, NotFoundError, RegistryError
from agent_orchestrator.stores.files import locked
from agent_orchestrator.stores.registry_file import MIGRATIONS, SCHEMA_VERSION, decode

AGENT = "feature_dev"
WRITERS = Path(__file__).parent / "registry_writers.py"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a registry with three revisions."""
    path = tmp_path / "registry.json"
    registry = ModelRegistry(path)
    for number in range(3):
        registry.add_model_version(AGENT, model_id=f"acme/m{number}")
    return path


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one of the programs of registry_writers.py."""
    command = [sys.executable, str(WRITERS), program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_eight_processes_lose_no_update(tmp_path: Path) -> None:
    """8 processes × 200 updates: every one is there afterwards, each with its own revision."""
    path = tmp_path / "registry.json"
    done = run("eight", path, 8, 200)
    assert done.returncode == 0, done.stderr
    registry = ModelRegistry(path)
    assert registry.read().revision == 8 * 200
    for writer in range(8):
        agent = f"agent-{writer % 4}"
        wanted = {f"{writer}-{number}" for number in range(200)}
        tags = {tag for version in registry.list_versions(agent) for tag in version.tags}
        assert wanted <= tags
    versions = [v.version for v in registry.list_versions("agent-0")]
    assert len(set(versions)) == len(versions) == 2 * 20
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("kills", [40, pytest.param(300, marks=pytest.mark.slow)])
def test_a_killed_writer_leaves_both_files_whole(tmp_path: Path, kills: int) -> None:
    """Whenever a writer dies, registry and models.yaml can be read and written at once."""
    done = run("killed", tmp_path, kills)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["kills"] == kills
    assert said["revision"] > 0


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.99])
def test_a_torn_registry_names_the_backup_that_brings_it_back(path: Path, share: float) -> None:
    """Cut anywhere, the file is refused with the command that loses nothing."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    registry = ModelRegistry(path)
    newest = registry.backups()[0].name
    for act in (registry.read, lambda: registry.add_tags(AGENT, "v1.0.0", "x")):
        with pytest.raises(RegistryError, match=f"chef registry restore {newest}") as caught:
            act()
        assert caught.value.exit_code == 2
    restored = registry.restore(newest)
    assert restored.agents == decode(whole).agents
    assert restored.revision == decode(whole).revision + 1
    assert registry.read() == restored
    assert registry.list_versions(AGENT, limit=1)[0].version == "v1.2.0"


def test_a_broken_backup_is_passed_over(path: Path) -> None:
    """The backup that is named is the newest one that can be read."""
    registry = ModelRegistry(path)
    newest, second, *_ = registry.backups()
    newest.write_bytes(newest.read_bytes()[:100])
    path.write_bytes(b"")
    with pytest.raises(RegistryError, match=f"chef registry restore {second.name}"):
        registry.read()
    with pytest.raises(RegistryError, match="Restore another backup"):
        registry.restore(newest.name)
    assert path.read_bytes() == b""
    for backup in registry.backups():
        backup.write_bytes(b"{")
    with pytest.raises(RegistryError, match="mend it by hand"):
        registry.read()


@pytest.mark.parametrize("name", ["../registry.json", "/etc/passwd", "registry-1.json", ""])
def test_only_backups_can_be_restored(path: Path, name: str) -> None:
    """A name that is not among the backups is refused with those that are."""
    with pytest.raises(NotFoundError, match="Newest first: registry-00000003-"):
        ModelRegistry(path).restore(name)


def test_the_last_ten_states_are_kept(path: Path) -> None:
    """Older backups go, and what is no backup stays."""
    registry = ModelRegistry(path)
    other = path.parent / "backups" / "mine.json"
    other.write_text("mine")
    for number in range(15):
        registry.add_tags(AGENT, "v1.0.0", f"t{number}")
    revisions = [from_json(backup.read_bytes())["revision"] for backup in registry.backups()]
    assert revisions == list(range(18, 8, -1))
    assert other.exists()


def test_a_hand_edit_is_kept_before_it_is_replaced(path: Path) -> None:
    """What a person wrote into the file by hand is among the backups after the next update."""
    edited = path.read_bytes().replace(b'"notes": ""', b'"notes": "by hand"')
    path.write_bytes(edited)
    registry = ModelRegistry(path)
    registry.add_tags(AGENT, "v1.0.0", "x")
    assert edited in [backup.read_bytes() for backup in registry.backups()]


def test_a_registry_that_went_away_is_not_begun_anew(path: Path) -> None:
    """Without its file but with backups, the registry is lost and not empty."""
    path.unlink()
    registry = ModelRegistry(path)
    with pytest.raises(RegistryError, match="missing, though its backups are there"):
        registry.add_model_version(AGENT, model_id="acme/new")
    registry.restore(registry.backups()[0].name)
    assert len(registry.list_versions(AGENT)) == 3


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"current": null', '"current": "v9.0.0"', r"current refers to 'v9\.0\.0'"),
        ('"current": null', '"current": null, "x": 1', r"agents\.feature_dev\.x is '1'; wanted"),
        ('"notes": ""', '"notes": 3', r"history\[0\]\.notes is '3'; wanted: a valid string"),
        ('"eval_scores": null', '"eval_scores": {"accuracy": 1.4}', "accuracy is '1.4'; wanted"),
        ('"eval_scores": null', '"eval_scores": {"accuracy": NaN}', "torn or not JSON"),
        ('"revision": 3', '"revision": "3"', "revision is '3'; wanted: a valid integer"),
        ('"acme/m0"', '"../../etc/passwd"', "Not a model id"),
        ('"v1.1.0"', '"v1.0.0"', r"'v1\.0\.0' 2 times"),
    ],
)
def test_a_wrong_edit_is_named(path: Path, old: str, new: str, says: str) -> None:
    """An edit that breaks a rule is one error that names the file, the key and the way back."""
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(RegistryError, match=says) as caught:
        ModelRegistry(path).read()
    assert str(caught.value).startswith(f"{path}: ")
    assert "chef registry restore registry-00000003" in caught.value.remedy


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    """A file of a newer program is neither read nor called broken."""
    now = f'"schema_version": {SCHEMA_VERSION}'
    path.write_text(path.read_text().replace(now, '"schema_version": 99'))
    with pytest.raises(RegistryError, match=r"schema_version is 99.* or a newer one") as caught:
        ModelRegistry(path).read()
    assert "restore" not in str(caught.value)


def test_an_old_file_is_migrated_and_written_back_by_the_next_update(tmp_path: Path) -> None:
    """Schema 1 had no log of what served: reading adds it, updating stores it."""
    version = {
        "version": "v1.0.0",
        "content_id": "c",
        "model_id": "acme/m",
        "deployment_status": "deployed",
        "deployed_at": "2026-11-20T10:00:00+00:00",
    }
    record = {"agent_name": AGENT, "current": "v1.0.0", "history": [version]}
    other = {"agent_name": "cicd", "current": None, "history": []}
    old = {
        "schema_version": 1,
        "created_at": "2026-11-01T00:00:00+00:00",
        "updated_at": "2026-11-20T10:00:00+00:00",
        "revision": 7,
        "agents": {AGENT: record, "cicd": other},
    }
    path = tmp_path / "registry.json"
    path.write_text(json.dumps(old))
    registry = ModelRegistry(path)
    served = registry.agent(AGENT).served
    assert [(entry.version, entry.percent, entry.until) for entry in served] == [
        ("v1.0.0", 100, None)
    ]
    assert registry.agent("cicd").served == ()
    registry.add_tags(AGENT, "v1.0.0", "x")
    written = json.loads(path.read_text())
    assert (written["schema_version"], written["revision"]) == (SCHEMA_VERSION, 8)
    assert len(MIGRATIONS) == SCHEMA_VERSION - 1
    path.write_text(json.dumps(old | {"agents": {AGENT: {}}}))
    with pytest.raises(RegistryError, match="add_served_log failed on 'history'"):
        registry.read()


def test_an_update_that_would_break_the_registry_is_refused(path: Path) -> None:
    """A function that makes what could not be read again changes nothing."""
    registry = ModelRegistry(path)
    before = path.read_bytes()

    def worse(**changes: object):
        def change(whole: Registry) -> Registry:
            record = whole.agent(AGENT)
            history = (replace(record.history[0], **changes), *record.history[1:])
            return whole.with_agent(replace(record, history=history))

        return change

    with pytest.raises(RegistryError, match=r"contradicts itself: .*disagrees"):
        registry.update(worse(deployment_status="deployed"))
    with pytest.raises(RegistryError, match=r"would break the registry: eval_scores\.accuracy"):
        registry.update(worse(eval_scores=EvalScores(accuracy=2.0)))
    assert path.read_bytes() == before


def test_a_full_disk_changes_nothing(path: Path) -> None:
    """When the disk is full the update fails with a remedy and the registry is as it was."""
    before = path.read_bytes()
    done = run("full", path)
    assert done.returncode == 1, done.stderr
    assert "Free some disk space" in done.stdout
    assert path.read_bytes() == before
    ModelRegistry(path).add_tags(AGENT, "v1.0.0", "x")


def test_a_held_lock_is_waited_for_only_so_long(path: Path) -> None:
    """An update that cannot get the lock gives up; reading needs no lock."""
    registry = ModelRegistry(path, lock_timeout=0.05)
    with locked(path):
        assert registry.read().revision == 3
        with pytest.raises(LockTimeout):
            registry.add_tags(AGENT, "v1.0.0", "x")


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """A folder in the file's place is an error of the configuration."""
    (tmp_path / "registry.json").mkdir()
    with pytest.raises(RegistryError, match=r"Cannot read .*Is a directory"):
        ModelRegistry(tmp_path / "registry.json").read()
