"""What the parts of a job share, and what an engine hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_orchestrator.trainer.progress import ProgressLog
from agent_orchestrator.trainer.signals import Signals
from agent_orchestrator.trainer.spec import Spec


@dataclass(frozen=True, slots=True)
class Job:
    """One job while it runs."""

    folder: Path
    spec: Spec
    token: str | None
    """Of the Hub."""
    progress: ProgressLog
    signals: Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What an engine has made, beside the files of the model."""

    base_sha256: str
    sha256: str
    """Of the trained weights (``artifact.weights_sha256``)."""
    metrics: Mapping[str, Any]
    seed: int
    """That was used."""
    libraries: tuple[str, ...]
    """Distributions whose versions the manifest lists."""
    notes: tuple[str, ...] = ()
    """What the engine did otherwise than the specification may lead to expect, in sentences."""
