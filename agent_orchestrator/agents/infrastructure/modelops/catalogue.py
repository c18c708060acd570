"""Which model a name means, and where it lives: models.yaml, the registry and local artifacts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.domain.models import EvalScores, check_model_id
from agent_orchestrator.domain.routing import Arm, Endpoint, Provider, RoutingTable
from agent_orchestrator.errors import (
    ConflictError,
    InputError,
    UnknownAgentError,
    VersionNotFoundError,
)
from agent_orchestrator.stores.models_yaml import ModelsYaml

_VERSION_LIKE = re.compile(r"v\d[^/]*")


def is_version(name: str) -> bool:
    """Return whether people mean a version by ``name``, also by a mistyped one: v2, v1.2.x."""
    return _VERSION_LIKE.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model an agent may have: its id, and its version when the registry knows it."""

    model: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.version} ({self.model})" if self.version else self.model


class Catalogue:
    """Resolves names. Reads only."""

    def __init__(
        self, models_yaml: ModelsYaml, registry: ModelRegistry, artifacts_dir: Path
    ) -> None:
        self._yaml = models_yaml
        self._registry = registry
        self._artifacts = artifacts_dir

    def check_agent(self, agent: str) -> str:
        """Return the agent's name; UnknownAgentError when models.yaml does not have it."""
        self._table(agent)
        return agent

    def arms(self, agent: str) -> tuple[Arm, ...]:
        """Return the agent's arms as they are routed now; raises UnknownAgentError."""
        return self._table(agent).arms(agent)

    def serving(self, agent: str) -> ModelRef:
        """Return the agent's stable model; raises UnknownAgentError."""
        return self.reference(agent, self._table(agent).agent_models[agent])

    def check_serving(self, agent: str, planned: ModelRef) -> None:
        """Raise ConflictError when another model serves than the plan was made for."""
        serving = self.serving(agent)
        if serving != planned:
            raise ConflictError(
                f"{serving} serves {agent} by now, not {planned}.",
                remedy=f"See `chef models {agent}`.",
            )

    def reference(self, agent: str, model: str) -> ModelRef:
        """Return a model with the version that the registry knows it by, if any.

        Of several versions with that model id it is the one that serves, else the newest.
        """
        record = self._registry.agent(agent)
        versions = [v.version for v in record.history if v.model_id == model]
        if record.current in versions:
            return ModelRef(model, record.current)
        return ModelRef(model, versions[-1] if versions else None)

    def resolve(self, agent: str, name: str | None) -> ModelRef:
        """Return the model that ``name`` means for an agent: a version, a model id, or its newest.

        Raises UnknownAgentError, VersionNotFoundError for what nobody knows, ModelIdError, or
        InputError when the agent has no version and none was named.
        """
        table = self._table(agent)
        if name is None:
            newest = self._registry.list_versions(agent, limit=1)
            if not newest:
                raise InputError(
                    f"{agent} has no trained version.",
                    remedy=f"Train one with `chef train {agent}`, or name a model id.",
                )
            return ModelRef(newest[0].model_id, newest[0].version)
        if is_version(name):
            version = self._registry.get_version(agent, name)
            return ModelRef(version.model_id, version.version)
        ref = self.reference(agent, check_model_id(name))
        listed = ref.model in table.models or ref.model in table.agent_models.values()
        if ref.version is None and not listed and not self.has_artifact(ref.model):
            raise VersionNotFoundError(
                f"{agent} has no model {name!r}, and neither the models catalogue nor the "
                "artifacts do.",
                remedy=f"See `chef models {agent}`, or add it under `models:` in models.yaml.",
            )
        return ref

    def endpoint(self, model: str, target: Provider | None = None) -> Endpoint:
        """Return where a model lives; ``target`` must agree with what is known.

        Raises InputError when the target cannot serve the model as configured.
        """
        listed = self._yaml.read().models.get(model)
        if listed is None and self.has_artifact(model):
            listed = Endpoint(model, "local")
        found = listed or Endpoint(model)
        if target is not None and target != found.provider:
            raise InputError(
                f"{model} is served by {found.provider}, not by {target!r}.",
                remedy=f"List it under `models:` in models.yaml with `provider: {target}`.",
            )
        return found

    def has_artifact(self, model: str) -> bool:
        """Return whether a finished local artifact of that id exists."""
        return (self._artifacts / check_model_id(model) / "config.json").is_file()

    def artifact(self, model: str) -> Path | None:
        """Return the folder of a local artifact, None when there is none."""
        return self._artifacts / model if self.has_artifact(model) else None

    def scores(self, agent: str, ref: ModelRef) -> EvalScores | None:
        """Return what the last evaluation of a registered version found."""
        if ref.version is None:
            return None
        return self._registry.get_version(agent, ref.version).eval_scores

    def _table(self, agent: str) -> RoutingTable:
        """Return models.yaml as it is now; raises UnknownAgentError."""
        table = self._yaml.read()
        if agent not in table.agent_models:
            raise UnknownAgentError(agent, sorted(table.agent_models))
        return table
