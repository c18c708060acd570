"""The artifact: safetensors, tokenizer and model card in a folder that appears whole or never."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.spec import ENGINES, Spec

_CARD = "README.md"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


@contextmanager
def appearing(folder: Path, job_id: str) -> Iterator[Path]:
    """Give a temporary sibling to fill; it becomes ``folder`` when all went well.

    Raises Refused when ``folder`` exists already: an artifact is never written over, but for one of
    this very job, which was cut off before it could say that it was complete.
    """
    card = folder / _CARD
    if card.is_file() and _by(job_id) in card.read_text(encoding="utf-8"):
        shutil.rmtree(folder)
    if folder.exists():
        raise Refused(
            "bad_spec",
            f"output_dir {folder.name!r} exists already.",
            "Choose another output_dir: an artifact is never written over.",
        )
    partial = folder.parent / f".{folder.name}.{job_id}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for path in (*files_of(partial), partial):
            _sync(path)
        partial.rename(folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def save_weights(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save model and tokenizer as safetensors, leaving no pickle and no path of this machine."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for path in files_of(folder):
        if path.suffix in _PICKLES:
            raise RuntimeError(f"A pickle was written: {path.name}.")


def weights_sha256(model: Any) -> str:
    """Return a hash over the names, types, shapes and bytes of a model's tensors."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def check_changed(base_sha256: str, sha256: str) -> None:
    """Refuse weights that are still the base's: a training that did nothing is no result."""
    if sha256 == base_sha256:
        raise Refused(
            "unknown",
            "The weights did not change.",
            "Raise the learning rate or train more steps.",
        )


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the artifact, as the manifest lists it."""

    path: str
    sha256: str
    bytes: int


def files_of(folder: Path) -> list[Path]:
    """Return the folder's files in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def list_files(folder: Path) -> list[FileEntry]:
    """Return the artifact's files with hash and size."""
    entries = []
    for path in files_of(folder):
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        entries.append(FileEntry(path.relative_to(folder).as_posix(), sha256, path.stat().st_size))
    return entries


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a file that is there whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(data, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _by(job_id: str) -> str:
    """Return how a model card names the job that made the model."""
    return f"job `{job_id}`"


def model_card(spec: Spec, metrics: Mapping[str, Any], notes: Sequence[str] = ()) -> str:
    """Return README.md: front matter as the Hub reads it, then what was done, ``notes`` included.

    Values are written as JSON, which YAML contains.
    """
    card = spec.model_card
    base = card.base_model or spec.base_model
    if card.base_model is None and Path(spec.base_model).is_dir():
        base = Path(spec.base_model).name
    matter: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "base_model": base,
        # Adapters are merged, so the artifact is a whole model.
        "base_model_relation": "finetune",
        "datasets": [spec.dataset.name] if spec.dataset.name else None,
        "license": card.license,
        "tags": [spec.engine, spec.method, *card.tags],
    }
    front = "\n".join(f"{key}: {json.dumps(value)}" for key, value in matter.items() if value)
    rows = "\n".join(f"| {key} | {value} |" for key, value in metrics.items() if value is not None)
    said = "".join(f"- {note}\n" for note in notes)
    return (
        f"---\n{front}\n---\n\n# {card.title or Path(spec.output_dir).name}\n\n"
        f"{card.description or f'A fine-tune of {base}.'}\n\n"
        f"Trained with {ENGINES[spec.engine]} ({spec.method}), {_by(spec.job_id)}.\n\n"
        f"| Metric | Value |\n|---|---|\n{rows}\n" + (f"\n{said}" if said else "")
    )


def push(folder: Path, repo: str, *, private: bool, token: str) -> str:
    """Publish the artifact on the Hub; returns its URL."""
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    url = api.create_repo(repo, private=private, exist_ok=True)
    api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Fine-tuned model")
    return str(url)


def hub_errors() -> tuple[type[Exception], ...]:
    """Return what the Hub's client raises when an upload fails.

    Its own errors are OSErrors or ValueErrors, an upload that breaks off is a RuntimeError, and
    what its transport says, which old ones lack, passes through as it is.
    """
    errors: tuple[type[Exception], ...] = (OSError, ValueError, RuntimeError)
    if find_spec("httpx2") is None:
        return errors
    import httpx2

    return (*errors, httpx2.HTTPError)
