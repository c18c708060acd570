"""Base models: which one a request means, what line of versions it is of, how large it is."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue, is_version
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.domain.base_facts import BaseFacts
from agent_orchestrator.domain.models import check_model_id
from agent_orchestrator.errors import InputError
from agent_orchestrator.stores.defaults import TrainingDefaults


class BaseModels:
    """Resolves base models. Reads only."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        registry: ModelRegistry,
        defaults: TrainingDefaults,
        default: str,
        hub_facts: Callable[[str], BaseFacts],
    ) -> None:
        """``default`` is the last resort; ``hub_facts`` asks the Hub about a model."""
        self._catalogue = catalogue
        self._registry = registry
        self._defaults = defaults
        self._default = default
        self._hub_facts = hub_facts

    def resolve(self, agent: str, name: str | None) -> str:
        """Return the model id that ``name`` means: a preset, a version of the agent, or an id.

        Left out, it is what serves the agent when that was trained here, else the default.
        Raises VersionNotFoundError, ModelIdError.
        """
        if name is None:
            serving = self._catalogue.serving(agent)
            return self._trainable(agent, serving.version) if serving.version else self._default
        preset = self._defaults.presets.get(name)
        if preset is not None:
            return preset.base_model
        return self._trainable(agent, name) if is_version(name) else check_model_id(name)

    def _trainable(self, agent: str, version: str) -> str:
        """Return a version's model; for a GGUF file the model that it was made from."""
        found = self._registry.get_version(agent, version)
        while found.quantization is not None and found.parent_version is not None:
            found = self._registry.get_version(agent, found.parent_version)
        return found.model_id

    def parent(self, agent: str, base_model: str) -> str | None:
        """Return the agent's version that the base model is, None for a model from elsewhere."""
        return self._catalogue.reference(agent, base_model).version

    def root(self, agent: str, base_model: str) -> str:
        """Return the model that a line of versions began with: its preset fits them all."""
        by_model = {version.model_id: version for version in self._registry.list_versions(agent)}
        while (version := by_model.pop(base_model, None)) is not None and version.training_config:
            base_model = version.training_config.base_model
        return base_model

    def facts(self, base_model: str, *, from_hub: bool = False) -> BaseFacts:
        """Return size and licence: from the preset, the local artifact, or the Hub.

        ``from_hub`` says that the job can take the base only from there, so that the Hub is asked
        in any case; a preset's size counts nevertheless. Raises InputError for a model that nobody
        knows or that may not be used, UnavailableError when the Hub does not answer.
        """
        preset = self._defaults.preset(base_model)
        if from_hub:
            facts = self._hub_facts(base_model)
            return facts if preset is None else replace(facts, parameters=preset.parameters)
        if preset is not None:
            return BaseFacts(parameters=preset.parameters)
        folder = self._catalogue.artifact(base_model)
        if folder is None:
            return self._hub_facts(base_model)
        weights = sum(count_parameters(path) for path in folder.glob("*.safetensors"))
        if not weights:
            raise InputError(
                f"The artifact of {base_model!r} holds no safetensors weights.",
                remedy=f"Mend or remove {folder}.",
            )
        return BaseFacts(parameters=float(weights))


def count_parameters(path: Path) -> int:
    """Return the number of weights in a safetensors file, read from its header alone.

    The file begins with the header's length (8 bytes, little-endian), then JSON of name → shape.
    Raises InputError for a file that is none.
    """
    try:
        return sum(
            math.prod(entry["shape"])
            for name, entry in _header(path).items()
            if name != "__metadata__"
        )
    except (struct.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is not a safetensors file ({type(error).__name__}).",
            remedy="Mend or remove the model.",
        ) from error


def _header(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > path.stat().st_size:  # any eight bytes are a length; not all fit into memory
            raise ValueError(length)
        header: dict[str, Any] = json.loads(file.read(length))
        return header
