"""Converting a model to GGUF."""

from __future__ import annotations

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import ChangingRequest, Result


class ConvertModelToGguf(ChangingRequest):
    """Convert a model to GGUF."""

    agent: str | None = None
    model: str | None = None
    version: str | None = None
    quantization: str = "Q4_K_M"
    output_repo: str | None = None


class ConversionStarted(Result):
    """A conversion job."""

    job_id: str
    output_repo: str
    files: dict[str, int]
    usage: dict[str, str]
