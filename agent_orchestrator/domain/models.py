"""Model versions: what the registry knows about each model an agent had."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from agent_orchestrator.errors import InputError, ModelIdError

TrainingMethod = Literal["sft", "dpo", "grpo", "orpo"]
TrainingEngine = Literal["trl", "autotrain"]
TrainingMode = Literal["demo", "production"]
Score = Annotated[float, Ge(0.0), Le(1.0)]
NonNegative = Annotated[float, Ge(0.0)]

_ID_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_MODEL_ID = re.compile(rf"{_ID_PART}(?:/{_ID_PART})?(?::[A-Za-z0-9._-]{{1,32}})?")
_STATUS = re.compile(r"not_deployed|shadow|challenger|canary_(?:100|[1-9]?\d)pct|deployed|archived")
_FORBID_EXTRA = {"extra": "forbid"}


def check_model_id(model_id: str) -> str:
    """Return ``model_id`` if it has the form ``name`` or ``owner/name[:tag]``.

    The rules are the Hub's (letters, digits, ``-``, ``_``, ``.``; no ``..`` or ``--``; at most 96
    characters a part) plus OpenRouter's ``:tag``. Raises ModelIdError otherwise: a model id may
    become part of a path.
    """
    if _MODEL_ID.fullmatch(model_id) and ".." not in model_id and "--" not in model_id:
        return model_id
    raise ModelIdError(
        f"Not a model id: {model_id!r}.",
        remedy="Use 'name' or 'owner/name' of letters, digits, '-', '_' and '.'.",
    )


def check_status(status: str) -> str:
    """Return ``status`` if it is a life-cycle status; raise InputError otherwise."""
    if _STATUS.fullmatch(status):
        return status
    raise InputError(
        f"Not a deployment status: {status!r}.",
        remedy="One of not_deployed, shadow, challenger, canary_<n>pct, deployed, archived.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How a version was trained."""

    __pydantic_config__ = _FORBID_EXTRA

    base_model: str
    training_method: TrainingMethod = "sft"
    training_dataset: str = ""
    """Data set id or Hub name."""
    eval_dataset: str | None = None
    learning_rate: NonNegative = 2e-5
    num_epochs: NonNegative = 3
    batch_size: Annotated[int, Ge(1)] = 4
    gradient_accumulation: Annotated[int, Ge(1)] = 4
    lora_rank: int | None = None
    """None for full fine-tuning."""
    lora_alpha: int | None = None
    max_length: Annotated[int, Ge(1)] = 8192
    seed: int = 0
    mode: TrainingMode = "production"
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Engine-specific settings, as given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalScores:
    """What an evaluation found. What was not measured is None."""

    __pydantic_config__ = _FORBID_EXTRA

    accuracy: Score | None = None
    token_efficiency: Score | None = None
    workflow_completeness: Score | None = None
    latency_threshold: Score | None = None
    mcp_integration_quality: Score | None = None
    risk_assessment_accuracy: Score | None = None
    agent_routing_accuracy: Score | None = None
    avg_latency_ms: NonNegative | None = None
    cost_per_1k_tokens: NonNegative | None = None
    baseline_improvement_pct: float | None = None
    baseline_version: str | None = None
    recommendation: str | None = None
    n_examples: Annotated[int, Ge(0)] | None = None
    langsmith_experiment_url: str | None = None
    report_path: str | None = None
    evaluated_at: str | None = None
    """ISO 8601, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One version of an agent's model."""

    __pydantic_config__ = _FORBID_EXTRA

    version: str
    """``v{major}.{minor}.{patch}[-suffix]``."""
    content_id: str
    """Creation time and a hash of what the version is made of."""
    model_id: str
    training_config: TrainingConfig | None = None
    """None for a model that was not trained here."""
    parent_version: str | None = None
    trained_at: str | None = None
    """ISO 8601, UTC."""
    trained_by: str | None = None
    job_id: str | None = None
    hub_repo: str | None = None
    dataset_hash: str | None = None
    weights_sha256: str | None = None
    quantization: str | None = None
    """Type of the GGUF file that the version is of its parent; None for a model of safetensors."""
    eval_scores: EvalScores | None = None
    deployment_status: str = "not_deployed"
    deployed_at: str | None = None
    """ISO 8601, UTC."""
    tags: tuple[str, ...] = ()
    changelog: str = ""
    notes: str = ""
