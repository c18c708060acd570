"""Requests from values: what a door was given, or what a sentence said, typed and checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Request
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.domain.intents import Intent
from agent_orchestrator.errors import InputError

_Asked = TypeVar("_Asked", bound=Request)


def build_request(use_case: UseCaseName, values: Mapping[str, Any]) -> Request:
    """Return the request; InputError names the field and the value that is wrong."""
    return validated(use_case, USE_CASES[use_case].request, values)


def validated(name: str, kind: type[_Asked], values: Mapping[str, Any]) -> _Asked:
    """Return a request of a kind that ``name`` takes; InputError as ``build_request``."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise InputError(
                f"{name} takes no {field!r} (got {first['input']!r}).",
                remedy=f"It takes {', '.join(kind.model_fields)}.",
            ) from None
        raise InputError(
            f"{field}: {first['msg']} (got {first['input']!r}).", remedy=_meant(kind, field)
        ) from None


def changed_request(
    use_case: UseCaseName, values: Mapping[str, Any], changes: Mapping[str, Any]
) -> Request:
    """Return a request with some values changed; ``overrides.seed`` is a value in a mapping.

    Raises InputError as ``build_request``, and when the changes change nothing.
    """
    request = build_request(use_case, with_changes(values, changes))
    if request == build_request(use_case, values):
        raise InputError(
            f"Nothing would change: {dict(changes)!r}.", remedy="Give other values, as key=value."
        )
    return request


def with_changes(values: Mapping[str, Any], changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values with some changed; ``overrides.seed`` is a value in a mapping."""
    changed = dict(values)
    for name, value in changes.items():
        field, dot, key = name.partition(".")
        inner = changed.get(field)
        if dot and isinstance(inner, Mapping | None):
            changed[field] = {**(inner or {}), key: value}
        else:
            changed[name] = value
    return changed


def request_values(intent: Intent) -> Mapping[str, Any]:
    """Return the request's fields for an intent's slots."""
    values = dict(intent.slots)
    for slot, field in _FIELDS.get(intent.use_case or "", {}).items():
        if slot in values:
            values[field] = values.pop(slot)
    filters = values.pop("filters", None)
    if isinstance(filters, Mapping):
        values |= _selection(filters)
    if intent.use_case == "evaluate_model_vs_baseline":
        candidate = values.pop("version", None) or values.pop("model", None)
        if candidate is not None:
            values["candidate"] = candidate
    return values


def _selection(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields for which examples are meant: how many of them is no filter."""
    said = dict(filters)
    limit, days = said.pop("limit", None), said.pop("days", None)
    if days is not None:
        said["since"] = (datetime.now(UTC).date() - timedelta(days=days)).isoformat()
    size = {} if limit is None else {"max_examples": limit}
    return size | ({"filters": said} if said else {})


#: Use case → slot → field, where their names differ.
_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "build_dataset": {"dataset": "source"},
    "check_dataset": {"dataset": "source"},
    "show_dataset": {"dataset": "name"},
    "endpoint_status": {"endpoint": "name"},
    "wake_endpoint": {"endpoint": "name"},
    "sleep_endpoint": {"endpoint": "name"},
}


def _meant(kind: type[Request], field: str) -> str:
    """Return what the request says about a field: the same at every door."""
    info = kind.model_fields.get(field.partition(".")[0])
    said = " ".join((info.description or "").split()) if info else ""
    takes = f"{kind.__name__} takes {', '.join(kind.model_fields)}."
    return f"About {field!r}: {said}" if said else takes
