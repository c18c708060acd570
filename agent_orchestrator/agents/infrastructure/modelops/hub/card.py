"""What an evaluation found, in the model's card on the Hub (import it late: the client is slow)."""

from __future__ import annotations

import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Final

from huggingface_hub import EvalResult, ModelCard
from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub, hub_failures
from agent_orchestrator.domain.models import EvalScores

_CARD: Final = "README.md"
#: Scores in 0..1; the other fields say how they came about.
_METRICS: Final = tuple(
    field.name for field in fields(EvalScores) if str(field.type).startswith("Score")
)


def publish_scores(hub: Hub, repo: str, scores: EvalScores, dataset: str) -> bool:
    """Put scores into a pushed model's card (``metrics``, ``model-index``); False without one.

    Idempotent: the newest evaluation replaces the one before. Raises UnavailableError,
    ConfigurationError, FailedError.
    """
    found = {name: getattr(scores, name) for name in _METRICS}
    measured = {name: float(value) for name, value in found.items() if value is not None}
    card = _read(hub, repo) if measured else None
    if card is None:
        return False
    card.data["model_name"] = repo.rsplit("/", maxsplit=1)[-1]
    card.data["metrics"] = list(measured)
    card.data["eval_results"] = [
        EvalResult(
            task_type="text-generation",
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_split="eval",
            metric_type=name,
            metric_value=value,
        )
        for name, value in measured.items()
    ]
    with hub_failures(f"The Hub, given the scores of {repo},"):
        hub.api.upload_file(
            path_or_fileobj=str(card).encode(),
            path_in_repo=_CARD,
            repo_id=repo,
            commit_message="Evaluation",
        )
    return True


def _read(hub: Hub, repo: str) -> ModelCard | None:
    with tempfile.TemporaryDirectory() as folder:
        with hub_failures(f"The Hub, asked for the card of {repo},"):
            try:
                path = hub.api.hf_hub_download(repo, _CARD, local_dir=folder)
            except (RepositoryNotFoundError, RemoteEntryNotFoundError):
                return None
        return ModelCard(Path(path).read_text(encoding="utf-8"))
