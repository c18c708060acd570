"""Checkpoints to resume from, without a pickle in them.

``transformers.Trainer`` writes optimizer, scheduler, random states and arguments as pickles. Here
the tensors are safetensors and the rest is JSON, so that whoever resumes a job loads no code::

    checkpoints/checkpoint-<step>/
        model.safetensors or adapter_model.safetensors, tokenizer, trainer_state.json
        optimizer.safetensors, random.safetensors, training.json
        complete                  written last
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file

FOLDER: Final = "checkpoints"
KEPT: Final = 2
"""Checkpoints; older ones are removed."""
_COMPLETE: Final = "complete"
_PICKLED_ARGUMENTS: Final = "training_args.bin"


def newest(job_dir: Path) -> Path | None:
    """Return the job's newest whole checkpoint, None without one."""
    return max(_whole(job_dir / FOLDER), key=_step, default=None)


def close(folder: Path) -> None:
    """Say that a checkpoint is whole, and remove those that are out of date."""
    (folder / _COMPLETE).touch()
    for old in sorted(_whole(folder.parent), key=_step)[:-KEPT]:
        shutil.rmtree(old)


def _whole(folder: Path) -> list[Path]:
    return [marker.parent for marker in folder.glob(f"checkpoint-*/{_COMPLETE}")]


def _step(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


class WithoutPickles:
    """Mix-in for ``transformers.Trainer``: the parts of a checkpoint that it would pickle."""

    optimizer: Any
    lr_scheduler: Any

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)  # type: ignore[misc]
        if output_dir is not None:
            (Path(output_dir) / _PICKLED_ARGUMENTS).unlink(missing_ok=True)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        whole = self.optimizer.state_dict()
        values = {
            f"{parameter}.{name}": value
            for parameter, state in whole["state"].items()
            for name, value in state.items()
        }
        tensors = {key: v.contiguous() for key, v in values.items() if isinstance(v, torch.Tensor)}
        save_file(tensors, Path(output_dir) / "optimizer.safetensors")
        rest = {
            "groups": whole["param_groups"],
            "scalars": {key: v for key, v in values.items() if key not in tensors},
            "scheduler": self.lr_scheduler.state_dict(),
        }
        (Path(output_dir) / "training.json").write_text(json.dumps(rest), encoding="utf-8")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        rest = json.loads((Path(checkpoint) / "training.json").read_text(encoding="utf-8"))
        values = {**load_file(Path(checkpoint) / "optimizer.safetensors"), **rest["scalars"]}
        state: dict[int, dict[str, Any]] = {}
        for key, value in values.items():
            parameter, _, name = key.partition(".")
            state.setdefault(int(parameter), {})[name] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": rest["groups"]})
        self.lr_scheduler.load_state_dict(rest["scheduler"])

    def _save_scaler(self, _output_dir: str) -> None:
        """Leave out the loss scale of float16: it settles again within a few steps."""

    def _load_scaler(self, _checkpoint: str | None) -> None:
        """See ``_save_scaler``."""

    def _save_rng_state(self, output_dir: str) -> None:
        shared: Any = np.random.get_state()  # noqa: NPY002 - what libraries draw from
        name, keys, *rest = shared
        tensors = {"torch": torch.random.get_rng_state(), "numpy": torch.from_numpy(keys.copy())}
        if torch.cuda.is_available():
            tensors["cuda"] = torch.cuda.random.get_rng_state()
        told = json.dumps({"python": random.getstate(), "numpy": [name, *rest]})
        save_file(tensors, Path(output_dir) / "random.safetensors", metadata={"rest": told})

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        path = Path(checkpoint) / "random.safetensors"
        tensors = load_file(path)
        told = json.loads(_metadata(path)["rest"])
        version, internal, gauss = told["python"]
        random.setstate((version, tuple(internal), gauss))
        name, *rest = told["numpy"]
        np.random.set_state((name, tensors["numpy"].numpy(), *rest))  # noqa: NPY002
        torch.random.set_rng_state(tensors["torch"])
        if "cuda" in tensors and torch.cuda.is_available():
            torch.cuda.random.set_rng_state(tensors["cuda"])


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        found: dict[str, str] = file.metadata()
    return found
