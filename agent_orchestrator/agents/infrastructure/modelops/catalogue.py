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
from agent_orchestrator.stores.routing_document import is_base_url, is_variable

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

    def agents(self) -> frozenset[str]:
        """Return the agents of models.yaml."""
        return frozenset(self._yaml.read().agent_models)

    def arms(self, agent: str) -> tuple[Arm, ...]:
        """Return the agent's arms as they are routed now; raises UnknownAgentError."""
        return self._table(agent).arms(agent)

    def serving(self, agent: str) -> ModelRef:
        """Return the agent's stable model; raises UnknownAgentError."""
        return self.reference(agent, self._table(agent).agent_models[agent])

    def newest(self, agent: str) -> ModelRef | None:
        """Return the agent's newest version; None before there is one."""
        newest = self._registry.list_versions(agent, limit=1)
        return ModelRef(newest[0].model_id, newest[0].version) if newest else None

    def check_serving(self, agent: str, planned: ModelRef) -> None:
        """Raise ConflictError when another model serves than the plan was made for."""
        serving = self.serving(agent)
        if serving != planned:
            raise ConflictError(
                f"{serving} serves {agent} by now, not {planned}.",
                remedy=f"See the agent's models (`chef models {agent}`).",
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

    def resolve(self, agent: str, name: str | None, *, placed: bool = False) -> ModelRef:
        """Return the model that ``name`` means for an agent: a version, a model id, or its newest.

        ``placed`` says that the request tells where the model lives, so that it need not be known
        here. Raises UnknownAgentError, VersionNotFoundError for what nobody knows, ModelIdError, or
        InputError when the agent has no version and none was named.
        """
        table = self._table(agent)
        if name is None:
            newest = self.newest(agent)
            if newest is None:
                raise InputError(
                    f"{agent} has no trained version.",
                    remedy=f"Train one (`chef train {agent}`), or name a model id.",
                )
            return newest
        if is_version(name):
            version = self._registry.get_version(agent, name)
            return ModelRef(version.model_id, version.version)
        ref = self.reference(agent, check_model_id(name))
        listed = ref.model in table.models or ref.model in table.agent_models.values()
        known = listed or placed or self.has_artifact(ref.model)
        if ref.version is None and not known:
            raise VersionNotFoundError(
                f"{agent} has no model {name!r}, and neither the models catalogue nor the "
                "artifacts do.",
                remedy=f"See the agent's models (`chef models {agent}`), or say where it lives: a "
                "target (openrouter, huggingface) or the URL of an endpoint.",
            )
        return ref

    def endpoint(
        self,
        model: str,
        target: Provider | None = None,
        *,
        url: str | None = None,
        api_key_env: str | None = None,
    ) -> Endpoint:
        """Return where a model lives: as models.yaml lists it, on this machine, or as asked.

        A base ``url`` means a server of one's own unless ``target`` says otherwise; a model of
        which nothing is known lives on OpenRouter. Raises InputError when what is asked contradicts
        what is known.
        """
        known = self._yaml.read().models.get(model)
        if known is None and self.has_artifact(model) and url is None:
            known = Endpoint(model, "local")
        if known is None and url is None and target in {None, "local"} and self._was_made(model):
            return Endpoint(model, "local")  # wherever that was: it is fetched when it is needed
        if known is None:
            provider = target or ("self_hosted" if url else "openrouter")
            asked = Endpoint(model, provider, (url,) if url else (), api_key_env)
            return _check_asked(asked)
        for name, value, agrees in (
            ("served by", target, target == known.provider),
            ("served at", url, url in known.endpoints),
            ("opened by", api_key_env, api_key_env == known.api_key_env),
        ):
            if value is not None and not agrees:
                where = ", ".join((known.provider, *known.endpoints))
                raise InputError(
                    f"{model} lives at {where} already; it is not {name} {value!r}.",
                    remedy="Change its entry under `models:` in models.yaml, or leave that out.",
                )
        return known

    def has_artifact(self, model: str) -> bool:
        """Return whether a finished local artifact of that id exists."""
        folder = self._artifacts / check_model_id(model)
        return (folder / "config.json").is_file() or any(folder.glob("*.gguf"))

    def artifact_folder(self, model: str) -> Path:
        """Return where an artifact of that id lies, or would."""
        return self._artifacts / check_model_id(model)

    def _was_made(self, model: str) -> bool:
        """Tell whether one of our trainings made this model, on whatever machine."""
        return any(
            version.model_id == model and version.training_config and version.hub_repo
            for record in self._registry.read().agents.values()
            for version in record.history
        )

    def is_used(self, model: str) -> bool:
        """Tell whether a version of some agent is this model, or models.yaml names it."""
        table = self._yaml.read()
        arms = (arm.model for agent in table.agent_models for arm in table.arms(agent))
        versions = (
            version.model_id
            for record in self._registry.read().agents.values()
            for version in record.history
        )
        return model in {*table.models, *arms, *versions}

    def artifact(self, model: str) -> Path | None:
        """Return the folder of a local artifact, None when there is none."""
        return self._artifacts / model if self.has_artifact(model) else None

    def fingerprint(self, model: str) -> str:
        """Return what tells a registered model's weights from others of its id; empty if unknown.

        The SHA-256 of its file where there is one, else the content id of its newest version.
        """
        found = [
            version
            for record in self._registry.read().agents.values()
            for version in record.history
            if version.model_id == model
        ]
        newest = max(found, key=lambda version: version.content_id, default=None)
        return (newest.weights_sha256 or newest.content_id) if newest else ""

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


def _check_asked(endpoint: Endpoint) -> Endpoint:
    """Return a place that a request names, if it is one. Raises InputError."""
    if endpoint.provider in ("openrouter", "local") and endpoint.endpoints:
        raise InputError(
            f"A URL goes with target self_hosted or huggingface, not {endpoint.provider!r}.",
            remedy="Leave one of the two out.",
        )
    if endpoint.provider == "local":
        raise InputError(
            f"{endpoint.model} is no finished model of this machine.",
            remedy="See the list of jobs (`chef jobs`), or name another target.",
        )
    for url in endpoint.endpoints:
        if not is_base_url(url):
            raise InputError(
                f"{url!r} is not an http(s) URL without credentials.",
                remedy="Write it as http://host:8000/v1; a key belongs into the variable that "
                "api_key_env names.",
            )
    if endpoint.api_key_env is not None and not is_variable(endpoint.api_key_env):
        raise InputError(  # the value may be the key itself: never shown
            "api_key_env is not a variable's name.",
            remedy="Name the environment variable that holds the key, not the key itself.",
        )
    return endpoint
