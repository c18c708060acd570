"""Base models: which one a request means, what line of versions it is of, how large it is."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue, is_version
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
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
        hub_size: Callable[[str], float],
    ) -> None:
        """``default`` is the last resort; ``hub_size`` asks the Hub for a model's weights."""
        self._catalogue = catalogue
        self._registry = registry
        self._defaults = defaults
        self._default = default
        self._hub_size = hub_size

    def resolve(self, agent: str, name: str | None) -> str:
        """Return the model id that ``name`` means: a preset, a version of the agent, or an id.

        Left out, it is what serves the agent when that was trained here, else the default.
        Raises VersionNotFoundError, ModelIdError.
        """
        if name is None:
            serving = self._catalogue.serving(agent)
            return serving.model if serving.version else self._default
        preset = self._defaults.presets.get(name)
        if preset is not None:
            return preset.base_model
        return (
            self._catalogue.resolve(agent, name).model if is_version(name) else check_model_id(name)
        )

    def parent(self, agent: str, base_model: str) -> str | None:
        """Return the agent's version that the base model is, None for a model from elsewhere."""
        return self._catalogue.reference(agent, base_model).version

    def root(self, agent: str, base_model: str) -> str:
        """Return the model that a line of versions began with: its preset fits them all."""
        by_model = {version.model_id: version for version in self._registry.list_versions(agent)}
        while (version := by_model.pop(base_model, None)) is not None and version.training_config:
            base_model = version.training_config.base_model
        return base_model

    def parameters(self, base_model: str) -> float:
        """Return the number of weights: from the preset, the local artifact, or the Hub.

        Raises InputError when nobody knows it, UnavailableError when the Hub does not answer.
        """
        preset = self._defaults.preset(base_model)
        if preset is not None:
            return preset.parameters
        folder = self._catalogue.artifact(base_model)
        if folder is None:
            return self._hub_size(base_model)
        weights = sum(count_parameters(path) for path in folder.glob("*.safetensors"))
        if not weights:
            raise InputError(
                f"The artifact of {base_model!r} holds no safetensors weights.",
                remedy=f"Mend or remove {folder}.",
            )
        return float(weights)


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
