"""The models.yaml store on real files: updates, locks, faults and hot reload."""
# ruff: noqa: ASYNC110, ASYNC240 - small files, and conditions that no event announces

import asyncio
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from agent_orchestrator.domain.routing import Arm, Endpoint, Rollout, RoutingTable
from agent_orchestrator.errors import LockTimeout, ModelsYamlError, UnknownAgentError
from agent_orchestrator.stores.files import locked
from agent_orchestrator.stores.models_yaml import (
    ModelsYaml,
    RoutingTableSource,
    with_model,
    with_rollout,
)

TEXT = """\
# people's comment
openrouter:
  agent_models:
    feature_dev: qwen/coder   # the best we know
    cicd: qwen/coder
models: {}
"""
STABLE, CANDIDATE = (
    Arm("stable", "qwen/coder", "v1.0.0", 80),
    Arm("candidate", "a/v2", "v1.1.0", 20),
)
ROLLOUT = Rollout("ro_1", "canary", (STABLE, CANDIDATE))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a models.yaml of one's own."""
    path = tmp_path / "agents" / "models.yaml"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


def test_each_change_is_on_disk_and_returned(path: Path) -> None:
    """What an update returns is what the file then says."""
    file = ModelsYaml(path)
    for table in (
        file.add_endpoint(Endpoint("a/v2", "local")),
        file.set_rollout("feature_dev", ROLLOUT),
        file.set_model("cicd", "acme/other"),
    ):
        assert isinstance(table, RoutingTable)
    table = file.read()
    assert table.rollouts == {"feature_dev": ROLLOUT}
    assert table.agent_models["cicd"] == "acme/other"
    file.set_model("cicd", "qwen/coder")
    file.clear_rollout("feature_dev")
    assert file.remove_endpoint("a/v2") == file.read()
    assert path.read_text() == TEXT


def test_a_promotion_is_one_replace(path: Path) -> None:
    """Several facts change in one file replace, so no reader sees one without the other."""
    file = ModelsYaml(path)
    file.set_rollout("feature_dev", ROLLOUT)
    inode = path.stat().st_ino
    arms = (replace(STABLE, weight=0), replace(CANDIDATE, weight=100))
    guarded = replace(ROLLOUT, phase="guard", arms=arms)
    file.update(
        lambda t: with_rollout(with_model(t, "feature_dev", "a/v2"), "feature_dev", guarded)
    )
    assert path.stat().st_ino != inode
    assert "feature_dev: a/v2   # the best we know" in path.read_text()
    assert file.read().rollouts["feature_dev"].phase == "guard"


def test_repeating_an_update_writes_nothing(path: Path) -> None:
    """An update that changes nothing leaves the very file in place."""
    file = ModelsYaml(path)
    file.set_rollout("feature_dev", ROLLOUT)
    inode = path.stat().st_ino
    file.set_rollout("feature_dev", ROLLOUT)
    file.clear_rollout("cicd")
    assert path.stat().st_ino == inode


def test_a_preview_shows_the_diff_and_writes_nothing(path: Path) -> None:
    """What would change can be seen before."""
    file = ModelsYaml(path)
    diff = file.preview(lambda table: with_model(table, "cicd", "acme/other"))
    assert "-    cicd: qwen/coder\n+    cicd: acme/other\n" in diff
    assert path.read_text() == TEXT
    assert file.preview(lambda table: table) == ""


@pytest.mark.parametrize(
    ("arms", "says"),
    [
        ((replace(STABLE, weight=100), replace(CANDIDATE, weight=140)), "weight is 140"),
        ((replace(STABLE, weight=90), CANDIDATE), "weights 90"),
        ((CANDIDATE, STABLE), "stable arm first"),
        ((STABLE, replace(CANDIDATE, model="../../etc/passwd")), "not a model id"),
        ((replace(STABLE, model="other/model"), CANDIDATE), "must be the agent's model"),
    ],
)
def test_a_wrong_rollout_is_refused_before_anything_is_written(
    path: Path, arms: tuple[Arm, ...], says: str
) -> None:
    """A result that the reader would refuse never replaces the file."""
    file = ModelsYaml(path)
    with pytest.raises(ModelsYamlError, match=says):
        file.set_rollout("feature_dev", replace(ROLLOUT, arms=arms))
    assert path.read_text() == TEXT


def test_an_unknown_agent_is_named_with_the_known_ones(path: Path) -> None:
    """A change for an agent that is not in the file is bad input."""
    for change in (
        lambda: ModelsYaml(path).set_model("nobody", "a/b"),
        lambda: ModelsYaml(path).set_rollout("nobody", ROLLOUT),
        lambda: ModelsYaml(path).clear_rollout("nobody"),
    ):
        with pytest.raises(UnknownAgentError, match="feature_dev, cicd"):
            change()
    assert path.read_text() == TEXT


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path, path: Path) -> None:
    """A missing file and one that is not text are configuration errors."""
    with pytest.raises(ModelsYamlError, match="CHEF_CONFIG"):
        ModelsYaml(tmp_path / "none.yaml").read()
    path.write_bytes(b"openrouter: \xff")
    with pytest.raises(ModelsYamlError, match="byte 12 is not UTF-8"):
        ModelsYaml(path).read()


def test_a_broken_file_is_not_written_to(path: Path) -> None:
    """An update of a broken file is refused and leaves it for a person to mend."""
    path.write_text(TEXT + "\tx: 1\n")
    with pytest.raises(ModelsYamlError, match="line 7"):
        ModelsYaml(path).set_model("cicd", "a/b")
    assert path.read_text() == TEXT + "\tx: 1\n"


def test_a_held_lock_is_waited_for_only_so_long(path: Path) -> None:
    """A writer that cannot get the lock gives up with the file unchanged."""
    with locked(path), pytest.raises(LockTimeout):
        ModelsYaml(path, lock_timeout=0.05).set_model("cicd", "a/b")


def test_concurrent_writers_lose_nothing(path: Path) -> None:
    """Threads that add to the catalogue at once all find their entry in the end."""
    threads = [
        threading.Thread(
            target=lambda n=n: [
                ModelsYaml(path).add_endpoint(Endpoint(f"acme/m{n}-{i}", "local")) for i in range(5)
            ]
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ModelsYaml(path).read().models) == 20


# -- hot reload ---------------------------------------------------------------------------------


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until ``condition`` holds; a promise of one second gets a generous limit here."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_source_needs_a_good_file_to_start(path: Path) -> None:
    """Without a last good table there is nothing to serve."""
    path.write_text("broken: [")
    with pytest.raises(ModelsYamlError):
        RoutingTableSource(path)


def test_reload_keeps_the_last_good_table(path: Path) -> None:
    """A broken file is reported once and does not replace what is served; a good one heals it."""
    changes: list[RoutingTable] = []
    alerts: list[ModelsYamlError] = []
    source = RoutingTableSource(path, on_change=changes.append, on_alert=alerts.append)
    good = source.current
    assert not source.reload()
    path.write_text("broken: [")
    assert not source.reload()
    assert not source.reload()
    assert source.current is good
    assert source.last_error is alerts[0]
    path.write_text(TEXT + "# a comment more\n")
    assert not source.reload()
    assert source.last_error is None
    path.write_text(TEXT.replace("cicd: qwen/coder", "cicd: acme/other"))
    assert source.reload()
    assert source.current.agent_models["cicd"] == "acme/other"
    assert changes == [source.current]
    assert len(alerts) == 1


async def test_a_running_process_follows_the_file(path: Path) -> None:
    """Replaced atomically, edited in place, broken and mended: the watcher follows each."""
    alerts: list[ModelsYamlError] = []
    source = RoutingTableSource(path, on_alert=alerts.append)
    watching = asyncio.create_task(source.watch())
    await asyncio.to_thread(ModelsYaml(path).set_rollout, "feature_dev", ROLLOUT)
    await eventually(lambda: source.current.rollouts)
    path.write_text("broken: [")
    await eventually(lambda: alerts)
    assert source.current.rollouts
    path.write_text(TEXT)
    await eventually(lambda: not source.current.rollouts)
    assert source.last_error is None
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching


async def test_a_folder_that_is_replaced_is_still_followed(path: Path, tmp_path: Path) -> None:
    """When the folder itself goes and comes back, looking at the file finds the new one."""
    source = RoutingTableSource(path)
    stop = anyio.Event()
    watching = asyncio.create_task(source.watch(stop))
    await asyncio.sleep(0.05)
    path.parent.rename(tmp_path / "old")
    path.parent.mkdir()
    path.write_text(TEXT.replace("cicd: qwen/coder", "cicd: acme/other"))
    await eventually(lambda: source.current.agent_models["cicd"] == "acme/other")
    stop.set()
    await watching


async def test_without_a_folder_to_watch_the_file_is_polled(path: Path) -> None:
    """Where the system cannot watch, the file is looked at until it is told to stop."""
    source = RoutingTableSource(path)
    shutil.rmtree(path.parent)
    stop = anyio.Event()
    watching = asyncio.create_task(source.watch(stop))
    await eventually(lambda: source.last_error)
    path.parent.mkdir()
    path.write_text(TEXT.replace("cicd: qwen/coder", "cicd: acme/other"))
    await eventually(lambda: source.current.agent_models["cicd"] == "acme/other")
    stop.set()
    await watching
