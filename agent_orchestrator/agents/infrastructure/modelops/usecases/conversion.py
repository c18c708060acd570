"""Converting a model to GGUF."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import ChangingRequest, Result

Quantization = Annotated[
    Literal["Q4_K_M", "Q5_K_M", "Q8_0", "F16"],
    BeforeValidator(lambda given: given.upper() if isinstance(given, str) else given),
]


class ConvertModelToGguf(ChangingRequest):
    """Convert a model to GGUF.

    For llama.cpp, Ollama and LM Studio. The file is evaluated beside the model it was made from.
    """

    agent: str | None = None
    """Whose model; it may be left out when a model is named."""
    model: str | None = None
    """Model id, of this machine or of the Hub."""
    version: str | None = None
    """The agent's newest version when neither this nor a model is given."""
    quantization: Quantization = "Q4_K_M"
    output_repo: str | None = None
    """Repository of the Hub to publish to; nothing is published when left out."""
    dataset: str | None = None
    """Data set to evaluate on; the one the version was trained with when left out, "none" to do
    without."""
    max_examples: Annotated[int, Field(ge=2)] | None = None
    """Held-out examples to evaluate on; all when left out."""


class ConversionStarted(Result):
    """A conversion job."""

    job_id: str
    source: str
    """Version or model id that is converted."""
    model: str
    """Model id of the result on this machine."""
    quantization: Quantization
    output_repo: str | None
    evaluated_on: str | None
    """Data set; null when the result is not evaluated."""
    not_evaluated: str | None = None
    """Why not."""


class ModelFile(Result):
    """One file of an artifact."""

    path: str
    bytes: int
    sha256: str


class BesideParent(Result):
    """The converted model and its parent on the same examples."""

    dataset: str
    n_examples: int
    answers_equal: int
    answers_compared: int
    """Examples that both answered."""
    latency_ms: tuple[float | None, float | None]
    """Mean time of an answer, parent and converted."""
    bytes: tuple[int, int]
    """Weights of the parent, file of the converted."""


class ConversionResult(Result):
    """What a conversion made."""

    model: str
    source: str
    quantization: Quantization
    folder: str
    files: list[ModelFile]
    parameters: int
    hub_url: str | None = None
    not_published: str | None = None
    """Why it was not, although that was asked."""
    tokenizer_checks: tuple[int, int]
    """Texts that llama.cpp and the original tokenizer split alike, of how many."""
    ollama_template: bool
    """Whether the Modelfile says the chat template; otherwise only the file itself does."""
    usage: dict[str, str]
    """``llama.cpp``, ``ollama``, ``lm_studio`` → commands."""
    beside_parent: BesideParent | None = None
    not_evaluated: str | None = None
    """Why there is no comparison."""
