"""The life cycle of model versions: pure transitions of an agent's record.

``not_deployed → shadow | challenger | canary_<n>pct → deployed → archived``; an archived version
may serve again. ``now`` is an ISO 8601 text, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from agent_orchestrator.domain.models import ModelVersion, check_model_id, check_status
from agent_orchestrator.domain.registry import AgentRecord, Bystander, Role, Served, canary_percent
from agent_orchestrator.domain.semver import SemVer
from agent_orchestrator.errors import ConflictError, InputError


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


def make_current(record: AgentRecord, version: str | None, now: str) -> AgentRecord:
    """Make ``version`` the one that serves; the former current one is archived.

    None stands for a model that is not registered. A canary of the same version is promoted by
    it, a canary of another version stays. Nothing changes when it is current already. Raises
    VersionNotFoundError.
    """
    if record.current == version:
        return record
    if version is not None:
        record.version(version)
    if record.current is not None:
        record = change_version(record, record.current, deployment_status="archived")
    if version is not None:
        record = change_version(record, version, deployment_status="deployed", deployed_at=now)
    record = replace(
        _without_challenger(record, version),
        current=version,
        canary=None if record.canary == version else record.canary,
    )
    return _log_served(record, now)


def make_canary(record: AgentRecord, version: str, percent: int, now: str) -> AgentRecord:
    """Give ``percent`` (0..100) of the traffic to ``version``.

    Raises InputError for the percentage, VersionNotFoundError, ConflictError when it is current
    or another canary runs.
    """
    if type(percent) is not int or not 0 <= percent <= 100:  # noqa: PLR2004 - percent
        raise InputError(
            f"Not a canary's share: {percent!r} %.", remedy="Use a whole number from 0 to 100."
        )
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


def serve(
    record: AgentRecord,
    current: str | None,
    canary: str | None,
    percent: int,
    now: str,
    *,
    others: Mapping[str, tuple[Bystander, int]] = MappingProxyType({}),
) -> AgentRecord:
    """Say absolutely what serves: doing it twice changes nothing.

    ``others`` has the status and share (percent) of a rollout's further candidates. A canary that
    is neither kept nor made current was rolled back, and is archived. Raises VersionNotFoundError,
    InputError for the percentage, ConflictError when one version is to be two things.
    """
    if record.canary not in {canary, current}:
        record = clear_canary(record, "archived", now)
    record = make_current(record, current, now)
    if canary is not None:
        record = make_canary(record, canary, percent, now)
    for version, (status, _) in others.items():
        if record.version(version).deployment_status != status:
            record = set_status(record, version, status)
    return _log_served(record, now, {v: share for v, (_, share) in others.items() if share})


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
    if check_status(status) == "deployed" or canary_percent(status) is not None:
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
    """Archive a version that nobody needs.

    Raises VersionNotFoundError, ConflictError while it is current, canary or challenger.
    """
    if version in record.challengers:
        raise ConflictError(
            f"Version {version!r} is a challenger of {record.agent_name!r}.",
            remedy="Remove it from the challengers first.",
        )
    return set_status(record, version, "archived")


def _without_challenger(record: AgentRecord, version: str | None) -> AgentRecord:
    return replace(record, challengers=tuple(c for c in record.challengers if c != version))


def _log_served(
    record: AgentRecord, now: str, challengers: Mapping[str, int] = MappingProxyType({})
) -> AgentRecord:
    """End what no longer serves as logged, and begin what does.

    ``challengers`` has the share of those that share the traffic, percent.
    """
    canary = None if record.canary is None else record.version(record.canary).deployment_status
    share = 0 if canary is None else canary_percent(canary) or 0
    wanted: list[tuple[str | None, Role, int]] = [
        (record.current, "current", 100 - share - sum(challengers.values())),
        (record.canary, "canary", share),
        *((version, "challenger", percent) for version, percent in challengers.items()),
    ]
    log: list[Served] = []
    for entry in record.served:
        stretch = (entry.version, entry.role, entry.percent)
        if entry.until is None and stretch in wanted:
            wanted.remove(stretch)
            log.append(entry)
        elif entry.until is not None or entry.since != now:
            log.append(replace(entry, until=entry.until or now))
    begun = (Served(version=v, role=r, percent=p, since=now) for v, r, p in wanted if v is not None)
    return replace(record, served=(*log, *begun))
