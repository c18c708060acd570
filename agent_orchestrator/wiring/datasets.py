"""What the use cases about data sets are made of."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.datasets.profile import (
    TokenCounter,
    estimated_tokens,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.reports import Measure, Reading
from agent_orchestrator.agents.infrastructure.modelops.training.base_models import BaseModels
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores import defaults
from agent_orchestrator.stores.defaults import TrainingDefaults
from agent_orchestrator.wiring.sources import compose_sources


def compose_reading(settings: Settings, catalogue: Catalogue, base_models: BaseModels) -> Reading:
    """Compose what opens sources. Raises SettingsError for broken defaults files."""
    sources = compose_sources(settings, defaults.load_dataset_defaults(settings.config_dir))
    training = defaults.load_training_defaults(settings.config_dir)
    measure = partial(_measure, catalogue, base_models, training)
    sandbox = defaults.load_evaluation_defaults(settings.config_dir).sandbox
    return Reading(catalogue, sources, measure, sandbox)


def _measure(
    catalogue: Catalogue,
    base_models: BaseModels,
    training: TrainingDefaults,
    agent: str,
    base_model: str | None,
) -> Measure:
    """Return how a base model counts tokens, and how many it is given at most."""
    model = base_models.resolve(agent, base_model)
    preset = training.preset(base_models.root(agent, model))
    chosen = training.training.replaced(preset.training, "preset") if preset else training.training
    return Measure(_counter(catalogue.artifact(model), model), chosen.max_length)


def _counter(artifact: Path | None, model: str) -> TokenCounter:
    """Return the model's own counter when its tokenizer is on this disk, else an estimate."""
    path = artifact / "tokenizer.json" if artifact else _cached(model)
    if path is None or not path.is_file():
        return estimated_tokens(f"the tokenizer of {model} is not on this machine")
    from agent_orchestrator.agents.infrastructure.modelops.datasets.token_counts import counter_of

    return counter_of(path, model)


def _cached(model: str) -> Path | None:
    """Return the tokenizer that an earlier download left in the Hub client's cache."""
    if "/" not in model:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "tokenizer.json")
    return Path(found) if isinstance(found, str) else None
