"""The model registry as a value: which versions an agent's model had, and what served when.

``check_registry`` states what must hold; ``domain.lifecycle`` has the transitions. Times are ISO
8601 texts, UTC.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from agent_orchestrator.domain.models import (
    EvalScores,
    ModelVersion,
    TrainingConfig,
    check_model_id,
    check_status,
)
from agent_orchestrator.domain.semver import SemVer
from agent_orchestrator.errors import InputError, RegistryError, VersionNotFoundError

Role = Literal["current", "canary", "challenger"]
Bystander = Literal["shadow", "challenger", "archived"]
"""What a candidate of a rollout may be besides its canary."""
Percent = Annotated[int, Ge(0), Le(100)]

_AGENT = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_CANARY = re.compile(r"canary_(\d+)pct")
_FORBID_EXTRA = {"extra": "forbid"}


def canary_percent(status: str) -> int | None:
    """Return the share that ``canary_<n>pct`` says, None for another status."""
    match = _CANARY.fullmatch(status)
    return int(match[1]) if match else None


def check_agent_name(agent: str) -> str:
    """Return ``agent`` if it may name an agent; raise InputError otherwise."""
    if _AGENT.fullmatch(agent):
        return agent
    raise InputError(
        f"Not an agent's name: {agent!r}.",
        remedy="Use lower-case letters, digits, '_' and '-', starting with a letter.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One stretch of time in which a version had a share of the agent's traffic."""

    __pydantic_config__ = _FORBID_EXTRA

    version: str
    role: Role
    percent: Percent
    """Share of the traffic."""
    since: str
    until: str | None = None
    """None while it lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecord:
    """Everything the registry knows about one agent."""

    __pydantic_config__ = _FORBID_EXTRA

    agent_name: str
    current: str | None = None
    """Version that serves; like ``canary`` and ``challengers`` a reference into ``history``."""
    canary: str | None = None
    challengers: tuple[str, ...] = ()
    history: tuple[ModelVersion, ...] = ()
    """All versions, in the order in which they were added."""
    served: tuple[Served, ...] = ()
    """What served when, in order."""

    def version(self, version: str) -> ModelVersion:
        """Return a version; raise VersionNotFoundError that lists the newest known ones."""
        for known in self.history:
            if known.version == version:
                return known
        newest = ", ".join(v.version for v in reversed(self.history[-5:])) or "none yet"
        raise VersionNotFoundError(
            f"Agent {self.agent_name!r} has no version {version!r}.",
            remedy=f"Known versions, newest first: {newest}.",
        )

    def lineage(self, version: str) -> tuple[ModelVersion, ...]:
        """Return the version, its parent, its parent's parent … up to the root.

        Raises VersionNotFoundError, RegistryError for a missing parent or a circle.
        """
        by_version = {known.version: known for known in self.history}
        chain = [self.version(version)]
        while (parent := chain[-1].parent_version) is not None:
            if parent not in by_version or len(chain) > len(self.history):
                fault = "is not in the history" if parent not in by_version else "closes a circle"
                raise RegistryError(
                    f"agents.{self.agent_name}: parent_version {parent!r} of "
                    f"{chain[-1].version!r} {fault}.",
                    remedy="Mend config/models/registry.json, or restore a backup of it.",
                )
            chain.append(by_version[parent])
        return tuple(chain)

    def previous(self) -> str | None:
        """Return the version that was current before the current one first was.

        After a rollback that is never the version which was rolled back. While a model outside
        the registry serves, it is the last version that was current.
        """
        currents = [entry.version for entry in self.served if entry.role == "current"]
        if self.current is not None:
            currents = currents[: currents.index(self.current)] if self.current in currents else []
        return currents[-1] if currents else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The whole registry file."""

    __pydantic_config__ = _FORBID_EXTRA

    schema_version: int
    created_at: str
    updated_at: str
    revision: Annotated[int, Ge(0)] = 0
    """Rises by one with every update."""
    agents: Mapping[str, AgentRecord] = field(default_factory=dict)

    def agent(self, agent: str) -> AgentRecord:
        """Return the agent's record, an empty one when nothing is registered yet."""
        return self.agents.get(agent) or AgentRecord(agent_name=check_agent_name(agent))

    def with_agent(self, record: AgentRecord) -> Registry:
        """Return the registry with ``record`` in the place of the agent's old one."""
        return replace(self, agents={**self.agents, record.agent_name: record})


# -- what must hold -----------------------------------------------------------------------------


def check_registry(registry: Registry) -> Registry:
    """Return ``registry`` if nothing in it contradicts; else raise RegistryError that names it."""
    for agent, record in registry.agents.items():
        path = f"agents.{agent}"
        try:
            check_agent_name(agent)
            for version in record.history:
                path = f"agents.{agent}.history: version {version.version!r}"
                SemVer.parse(version.version)
                check_model_id(version.model_id)
                check_status(version.deployment_status)
        except InputError as error:
            raise RegistryError(f"{path}: {error.message} {error.remedy}") from None
        _check_references(record, agent)
    return registry


def _check_references(record: AgentRecord, agent: str) -> None:
    """Check that names, references, statuses and parents of one agent agree."""
    if record.agent_name != agent:
        raise RegistryError(f"agents.{agent}.agent_name is {record.agent_name!r}.")
    counted = Counter(version.version for version in record.history)
    for version, times in counted.items():
        if times > 1:
            raise RegistryError(f"agents.{agent}.history has version {version!r} {times} times.")
    references: dict[str, list[str | None]] = {
        "current": [record.current],
        "canary": [record.canary],
        "challengers": list(record.challengers),
        "served": [entry.version for entry in record.served],
    }
    for name, versions in references.items():
        for reference in versions:
            if reference is not None and reference not in counted:
                raise RegistryError(
                    f"agents.{agent}.{name} refers to {reference!r}, which is not in its history."
                )
    roles: dict[str, list[str | None]] = {
        "deployed": [record.current],
        "canary": [record.canary],
        "challenger": list(record.challengers),
    }
    for known in record.history:
        is_canary = canary_percent(known.deployment_status) is not None
        status = "canary" if is_canary else known.deployment_status
        if any((status == role) != (known.version in holders) for role, holders in roles.items()):
            raise RegistryError(
                f"agents.{agent}.history: version {known.version!r} has deployment_status "
                f"{known.deployment_status!r}, which disagrees with current, canary, challengers."
            )
    _check_parents(record)


def _check_parents(record: AgentRecord) -> None:
    """Check that every line of parents ends at a version without one; linear in the history."""
    parents = {known.version: known.parent_version for known in record.history}
    settled: set[str | None] = {None}
    for start in parents:
        walked: set[str | None] = set()
        version: str | None = start
        while version not in settled:
            if version in walked or version not in parents:
                fault = "closes a circle" if version in walked else "is not in the history"
                raise RegistryError(
                    f"agents.{record.agent_name}.history: parent_version {version!r}, "
                    f"in the line of {start!r}, {fault}."
                )
            walked.add(version)
            version = parents[version]
        settled |= walked


# -- comparing ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A setting that differs."""

    name: str
    a: object
    b: object


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """A number that at least one of two evaluations measured."""

    name: str
    a: float | None
    b: float | None

    @property
    def difference(self) -> float | None:
        """Return b − a, None unless both measured it."""
        return None if self.a is None or self.b is None else self.b - self.a


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """What changed from version ``a`` to version ``b`` of an agent."""

    agent: str
    a: ModelVersion
    b: ModelVersion
    config: tuple[FieldChange, ...]
    """Fields of the training configuration that differ."""
    scores: tuple[ScoreChange, ...]
    """All scores and other numbers that one of them has, equal ones too."""


def compare_versions(record: AgentRecord, a: str, b: str) -> VersionDiff:
    """Return what differs between two versions. Raises VersionNotFoundError."""
    first, second = record.version(a), record.version(b)
    config = tuple(
        FieldChange(name, before, after)
        for name, before, after in _paired(
            TrainingConfig, first.training_config, second.training_config
        )
        if before != after
    )
    scores = tuple(
        ScoreChange(name, before, after)
        for name, before, after in _paired(EvalScores, first.eval_scores, second.eval_scores)
        if isinstance(before, int | float) or isinstance(after, int | float)
    )
    return VersionDiff(record.agent_name, first, second, config, scores)


def _paired(kind: type, first: object, second: object) -> Iterator[tuple[str, Any, Any]]:
    """Yield (field, its value in first, in second); a missing whole has None everywhere."""
    for known in fields(kind):
        yield known.name, getattr(first, known.name, None), getattr(second, known.name, None)
