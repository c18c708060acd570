"""What a conversion asks for: its ``spec.json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agent_orchestrator.trainer.spec import ModelCard, read_json_as

Quantization = Literal["Q4_K_M", "Q5_K_M", "Q8_0", "F16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufSpec:
    """One conversion. Paths are relative to the job folder."""

    protocol: int
    job_id: str
    model: str
    """Folder of a model or of a LoRA adapter, or the Hub id of one; safetensors only."""
    name: str
    """What the file is called: ``<name>.<quantization>.gguf``."""
    quantization: Quantization
    output_dir: str
    """Folder of the artifact; it must not exist."""
    llama_cpp: str
    """Folder that ``make setup-gguf`` filled."""
    revision: str | None = None
    """Commit of a Hub id; the newest when left out."""
    hub_repo: str | None = None
    """Where it will be published; for the commands of the model card."""
    model_card: ModelCard = field(default_factory=ModelCard)
    max_seconds: float | None = None
    threads: int | None = None
    """Threads that quantise; as many as there are cores when left out."""


def read_spec(path: Path) -> GgufSpec:
    """Read ``spec.json``. Raises Refused (``bad_spec``) that names the key."""
    return read_json_as(GgufSpec, path)
