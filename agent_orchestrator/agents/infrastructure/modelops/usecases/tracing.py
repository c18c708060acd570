"""What a trace says about a use case, and which use cases leave none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: Name in a trace → fields of requests and results that say it.
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "agent": ("agent",),
    "model_version": ("version", "candidate"),
    "job_id": ("job_id",),
    "rollout_id": ("rollout_id",),
}


def use_case_metadata(values: Mapping[str, Any]) -> dict[str, str]:
    """Return agent, version, job and rollout as far as a request or result names them."""
    found = {}
    for name, fields in _NAMES.items():
        value = next((values[field] for field in fields if values.get(field)), None)
        if isinstance(value, str):
            found[name] = value
    return found


def stays_here(values: Mapping[str, Any]) -> bool:
    """Return whether a request or a result is about what shall not leave this machine."""
    return values.get("offline") is True
