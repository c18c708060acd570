"""Bringing a model from the Hub to the artifacts folder (import it late: the client is slow)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub, hub_failures
from agent_orchestrator.domain.models import check_model_id
from agent_orchestrator.errors import FailedError, InputError, StorageError
from agent_orchestrator.stores.files import locked, sha256_file, storage_error

#: Weights without code in them, and what a tokenizer or a card consists of. No ``.py``, no pickle.
_WANTED: Final = (".safetensors", ".json", ".jinja", ".txt", ".model", ".md")
#: Whoever looks first fetches several gigabytes; the others wait.
_FETCH_SECONDS: Final = 3600.0


def pull(hub: Hub, model: str, artifacts_dir: Path) -> Path:
    """Return the folder of a model, which is fetched from the Hub unless it is there.

    It appears whole or not at all: every large file is checked by its hash, and what was fetched
    when a download broke off is kept for the next try. Raises InputError for a model that the Hub
    does not show or that is none of safetensors, StorageError, UnavailableError, FailedError.
    """
    target = artifacts_dir / check_model_id(model)
    if (target / "config.json").is_file():
        return target
    with locked(target, timeout=_FETCH_SECONDS):
        if not (target / "config.json").is_file():
            _fetch(hub, model, target)
    return target


def _fetch(hub: Hub, model: str, target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    revision, files = _listing(hub, model)
    try:
        _check_room(target.parent, files)
        with hub_failures(f"The Hub, asked for {model},"):
            hub.api.snapshot_download(
                model,
                revision=revision,
                local_dir=partial,
                allow_patterns=[file.path for file in files],
            )
        for file in files:
            if file.lfs is not None and sha256_file(partial / file.path) != file.lfs.sha256:
                (partial / file.path).unlink()
                raise FailedError(
                    f"{file.path} of {model} is damaged: its SHA-256 is not the announced one.",
                    remedy="Try again.",
                )
        shutil.rmtree(partial / ".cache", ignore_errors=True)
        partial.rename(target)
    except OSError as error:
        raise storage_error(target, error) from error


def _listing(hub: Hub, model: str) -> tuple[str, Sequence[RepoFile]]:
    """Return the newest commit and what is wanted of it. Raises InputError."""
    try:
        with hub_failures(f"The Hub, asked for {model},"):
            revision = hub.api.model_info(model).sha or "main"
            tree = hub.api.list_repo_tree(model, revision=revision, recursive=True)
            files = [one for one in tree if isinstance(one, RepoFile) and _is_wanted(one.path)]
    except (GatedRepoError, RepositoryNotFoundError, HFValidationError):
        raise InputError(
            f"{model} is neither on this machine nor, for HUGGINGFACE_TOKEN, on the Hub.",
            remedy="See the agent's models (`chef models`), or give the token access to it.",
        ) from None
    names = {file.path for file in files}
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise InputError(
            f"{model} on the Hub is no model of safetensors; pickles are never loaded.",
            remedy="Convert it to safetensors first.",
        )
    return revision, files


def _is_wanted(path: str) -> bool:
    return "/" not in path and path.endswith(_WANTED)


def _check_room(folder: Path, files: Sequence[RepoFile]) -> None:
    needed, free = sum(file.size for file in files), shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"The model needs {needed / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} GB left.",
            remedy="Free some space, or set CHEF_STATE to a larger disk.",
        )
