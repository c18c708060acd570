"""The model registry as a value: which versions an agent's model had, and what served when.

Every transition is a pure function of an ``AgentRecord``; ``check_registry`` states what must hold.
Life cycle: ``not_deployed → shadow | challenger | canary_<n>pct → deployed → archived``.
Times are ISO 8601 texts, UTC.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from agent_orchestrator.domain.models import ModelVersion, check_model_id, check_status
from agent_orchestrator.domain.semver import SemVer
from agent_orchestrator.errors import (
    ConflictError,
    InputError,
    RegistryError,
    VersionNotFoundError,
)

Role = Literal["current", "canary"]
Percent = Annotated[int, Ge(0), Le(100)]

_AGENT = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_CANARY = re.compile(r"canary_(\d+)pct")
_FORBID_EXTRA = {"extra": "forbid"}


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
                    f"{chain[-1].version!r} {fault}."
                )
            chain.append(by_version[parent])
        return tuple(chain)

    def previous(self) -> str | None:
        """Return the version that was current before the current one first was."""
        currents = [entry.version for entry in self.served if entry.role == "current"]
        if self.current not in currents:
            return None
        before = currents[: currents.index(self.current)]
        return before[-1] if before else None


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


# -- transitions --------------------------------------------------------------------------------


def add_version(record: AgentRecord, version: ModelVersion) -> AgentRecord:
    """Append a new version.

    Raises InputError when it is not a version or exists already, VersionNotFoundError for an
    unknown parent, ModelIdError.
    """
    SemVer.parse(version.version)
    check_model_id(version.model_id)
    if any(known.version == version.version for known in record.history):
        raise InputError(
            f"Agent {record.agent_name!r} already has a version {version.version!r}.",
            remedy="Leave the version out to get the next free one.",
        )
    if version.parent_version is not None:
        record.version(version.parent_version)
    return replace(record, history=(*record.history, version))


def change_version(record: AgentRecord, version: str, **changes: Any) -> AgentRecord:
    """Replace fields of one version of the history. Raises VersionNotFoundError."""
    changed = replace(record.version(version), **changes)
    history = tuple(changed if known.version == version else known for known in record.history)
    return replace(record, history=history)


def make_current(record: AgentRecord, version: str, now: str) -> AgentRecord:
    """Give all traffic to ``version``; the former current one is archived.

    A canary of the same version is promoted by it, a canary of another version stays. Nothing
    changes when it is current already. Raises VersionNotFoundError.
    """
    record.version(version)
    if record.current == version:
        return record
    if record.current is not None:
        record = change_version(record, record.current, deployment_status="archived")
    record = change_version(record, version, deployment_status="deployed", deployed_at=now)
    record = replace(
        _without_challenger(record, version),
        current=version,
        canary=None if record.canary == version else record.canary,
    )
    return _log_served(record, now)


def make_canary(record: AgentRecord, version: str, percent: int, now: str) -> AgentRecord:
    """Give ``percent`` (1..100) of the traffic to ``version``.

    Raises InputError for the percentage, VersionNotFoundError, ConflictError when it is current
    or another canary runs.
    """
    if type(percent) is not int or not 1 <= percent <= 100:  # noqa: PLR2004 - percent
        raise InputError(f"Not a canary's share: {percent!r} %.", remedy="Use 1 to 100.")
    deployed_at = record.version(version).deployed_at
    if record.current == version:
        raise ConflictError(
            f"Version {version!r} already serves {record.agent_name!r}.",
            remedy="Choose another version for the canary.",
        )
    if record.canary not in {None, version}:
        raise ConflictError(
            f"Version {record.canary!r} is already the canary of {record.agent_name!r}.",
            remedy="Promote it or roll it back first.",
        )
    status = f"canary_{percent}pct"
    if record.canary is None:
        deployed_at = now
    record = change_version(record, version, deployment_status=status, deployed_at=deployed_at)
    return _log_served(replace(_without_challenger(record, version), canary=version), now)


def clear_canary(record: AgentRecord, status: str, now: str) -> AgentRecord:
    """Take the canary's traffic back and give it ``status``; nothing changes without a canary."""
    if record.canary is None:
        return record
    record = change_version(record, record.canary, deployment_status=check_status(status))
    return _log_served(replace(record, canary=None), now)


def promote_canary(record: AgentRecord, now: str) -> AgentRecord:
    """Make the canary the current version. Raises ConflictError without a canary."""
    if record.canary is None:
        raise ConflictError(
            f"Agent {record.agent_name!r} has no canary to promote.",
            remedy="Deploy a version as a canary first.",
        )
    return make_current(record, record.canary, now)


def roll_back(record: AgentRecord, version: str | None, now: str) -> AgentRecord:
    """Undo the last deployment, or return to ``version``.

    A canary is archived and the current version keeps serving. Without a canary the version that
    was current before becomes current again. With ``version``, that one becomes current and a
    canary is archived: so it may be repeated. Raises VersionNotFoundError, ConflictError when
    nothing served before.
    """
    if version is not None:
        record.version(version)
        if record.canary != version:
            record = clear_canary(record, "archived", now)
        return make_current(record, version, now)
    if record.canary is not None:
        return clear_canary(record, "archived", now)
    previous = record.previous()
    if previous is None:
        raise ConflictError(
            f"No version served {record.agent_name!r} before {record.current!r}.",
            remedy="Name the version to return to.",
        )
    return make_current(record, previous, now)


def set_status(record: AgentRecord, version: str, status: str) -> AgentRecord:
    """Give a version that serves nobody a status: not_deployed, shadow, challenger or archived.

    Raises InputError for another status, VersionNotFoundError, ConflictError while it serves.
    """
    if check_status(status) == "deployed" or _CANARY.fullmatch(status):
        raise InputError(
            f"Status {status!r} follows from serving and is not set by hand.",
            remedy="Make the version current or a canary instead.",
        )
    record.version(version)
    if version in {record.current, record.canary}:
        raise ConflictError(
            f"Version {version!r} serves {record.agent_name!r}.", remedy="Roll it back first."
        )
    record = _without_challenger(record, version)
    if status == "challenger":
        record = replace(record, challengers=(*record.challengers, version))
    return change_version(record, version, deployment_status=status)


def retire(record: AgentRecord, version: str) -> AgentRecord:
    """Archive a version for good.

    Raises VersionNotFoundError, ConflictError while it is current, canary or challenger.
    """
    if version in record.challengers:
        raise ConflictError(
            f"Version {version!r} is a challenger of {record.agent_name!r}.",
            remedy="Remove it from the challengers first.",
        )
    return set_status(record, version, "archived")


def _without_challenger(record: AgentRecord, version: str) -> AgentRecord:
    return replace(record, challengers=tuple(c for c in record.challengers if c != version))


def _log_served(record: AgentRecord, now: str) -> AgentRecord:
    """End what no longer serves as logged, and begin what does."""
    share = 0 if record.canary is None else _canary_percent(record.version(record.canary))
    wanted: list[tuple[str, Role, int]] = []
    if record.current is not None:
        wanted.append((record.current, "current", 100 - share))
    if record.canary is not None:
        wanted.append((record.canary, "canary", share))
    log: list[Served] = []
    for entry in record.served:
        stretch = (entry.version, entry.role, entry.percent)
        if entry.until is None and stretch in wanted:
            wanted.remove(stretch)
            log.append(entry)
        else:
            log.append(replace(entry, until=entry.until or now))
    new = (Served(version=v, role=role, percent=p, since=now) for v, role, p in wanted)
    return replace(record, served=(*log, *new))


def _canary_percent(version: ModelVersion) -> int:
    match = _CANARY.fullmatch(version.deployment_status)
    return int(match[1]) if match else 0


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
            raise RegistryError(f"{path}: {error.message}", remedy=error.remedy) from None
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
        canary = _CANARY.fullmatch(known.deployment_status)
        status = "canary" if canary else known.deployment_status
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
