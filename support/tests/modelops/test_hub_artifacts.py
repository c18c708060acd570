"""Bringing models from the Hub, by its own client against the double."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.doubles.hub import READ, USER, HubDouble

from agent_orchestrator.agents.infrastructure.modelops.hub.artifacts import pull
from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub
from agent_orchestrator.errors import ChefError, FailedError, InputError, UnavailableError

MODEL = f"{USER}/better"
FILES: dict[str, bytes | str] = {
    "config.json": "{}",
    "model.safetensors": bytes(4096),
    "tokenizer.json": "{}",
    "chat_template.jinja": "{{ messages }}",
    "README.md": "# better",
}
UNWANTED: dict[str, bytes | str] = {
    "modeling_custom.py": "import os",
    "pytorch_model.bin": bytes(10),
    "runs/events.json": "{}",
}


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    """Return a Hub that has the model."""
    with HubDouble() as double:
        double.repos.add("model", MODEL, {**FILES, **UNWANTED}, private=True)
        yield double


def names(folder: Path) -> set[str]:
    """Return what lies in a folder."""
    return {path.name for path in folder.iterdir()}


def test_a_model_comes_whole_and_without_code(hub: HubDouble, tmp_path: Path):
    """Safetensors, tokenizer and card; no Python, no pickle, nothing of a subfolder."""
    folder = pull(Hub(READ, hub.url), MODEL, tmp_path)
    assert folder == tmp_path / MODEL
    assert names(folder) == set(FILES)
    assert (folder / "model.safetensors").read_bytes() == bytes(4096)
    asked = len(hub.requests)
    assert pull(Hub(READ, hub.url), MODEL, tmp_path) == folder
    assert len(hub.requests) == asked


def test_several_who_want_it_fetch_it_once(hub: HubDouble, tmp_path: Path):
    """The others wait for the first."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: pull(Hub(READ, hub.url), MODEL, tmp_path), range(4)))
    assert set(found) == {tmp_path / MODEL}
    assert len(hub.seen("GET", "^/_lfs/")) == 1


@pytest.mark.parametrize("status", [403, 404, None])
def test_a_download_that_breaks_off_leaves_no_model(
    hub: HubDouble, tmp_path: Path, status: int | None
):
    """Nothing half appears; the next try has it."""
    hub.fail(status, path="/resolve/.*/model.safetensors", times=99)
    with pytest.raises(ChefError):
        pull(Hub(READ, hub.url), MODEL, tmp_path)
    assert not (tmp_path / MODEL).exists()
    hub.forgive()
    assert names(pull(Hub(READ, hub.url), MODEL, tmp_path)) == set(FILES)


def test_what_cannot_be_a_model_is_refused(hub: HubDouble, tmp_path: Path):
    """Unknown, hidden, without safetensors, or with a name that would leave the folder."""
    hub.repos.add("model", "other/secret", FILES, private=True)
    hub.repos.add("model", "other/pickles", {"config.json": "{}", "pytorch_model.bin": b"x"})
    reader = Hub(READ, hub.url)
    for model in ("other/absent", "other/secret"):
        with pytest.raises(InputError, match="neither on this machine nor"):
            pull(reader, model, tmp_path)
    with pytest.raises(InputError, match="no model of safetensors"):
        pull(reader, "other/pickles", tmp_path)
    with pytest.raises(InputError):
        pull(reader, "../../etc", tmp_path)
    assert not (tmp_path / "other" / "pickles").exists()


def test_damaged_weights_are_not_kept(hub: HubDouble, tmp_path: Path):
    """What was announced is not what came: said, removed, and fetched anew by the next try."""
    hub.repos.damage = True
    with pytest.raises(FailedError, match=r"model\.safetensors of acme/better is damaged"):
        pull(Hub(READ, hub.url), MODEL, tmp_path)
    hub.repos.damage = False
    assert (pull(Hub(READ, hub.url), MODEL, tmp_path) / "model.safetensors").exists()


def test_a_hub_that_is_away_is_unavailable(tmp_path: Path):
    """Nobody listens."""
    with pytest.raises(UnavailableError):
        pull(Hub(None, "http://127.0.0.1:9"), MODEL, tmp_path)
