"""llama.cpp in tests: where ``make setup-gguf`` put it, and conversions run to their end."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.workshop import ROOT, environment, trainer_python

LLAMA_CPP = ROOT / ".llama.cpp"


def llama_cpp() -> Path:
    """Return llama.cpp's folder; fail with what to do when it is missing."""
    if not (LLAMA_CPP / "ready").exists():
        pytest.fail(f"No {LLAMA_CPP.name}: run `make setup-gguf`.", pytrace=False)
    return LLAMA_CPP


def conversion_folder(folder: Path, model: Path | str, **changes: Any) -> Path:
    """Make a conversion's job folder; ``changes`` go into its specification."""
    spec = {
        "protocol": 1,
        "job_id": folder.name,
        "model": str(model),
        "name": "tiny",
        "quantization": "Q4_K_M",
        "output_dir": str(folder / "artifact"),
        "llama_cpp": str(llama_cpp()),
        "threads": 1,
        "model_card": {"base_model": "local/tiny"},
    }
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps({**spec, **changes}), encoding="utf-8")
    return folder


def start_conversion(
    folder: Path, *, largest_file: int | None = None, **variables: str
) -> subprocess.Popen[bytes]:
    """Start a conversion's worker; its output goes into the folder.

    ``largest_file``: bytes that no file of its may exceed, as on a disk that fills up.
    """
    limit = ["prlimit", f"--fsize={largest_file}"] if largest_file is not None else []
    with (folder / "worker.log").open("wb") as log:
        return subprocess.Popen(
            [*limit, trainer_python(), "-m", "agent_orchestrator.trainer.gguf", folder],
            env={**environment(), **variables},
            stdout=log,
            stderr=log,
        )


def convert(folder: Path, *, largest_file: int | None = None, **variables: str) -> int:
    """Run a conversion's worker; returns its exit status."""
    return start_conversion(folder, largest_file=largest_file, **variables).wait(300)
