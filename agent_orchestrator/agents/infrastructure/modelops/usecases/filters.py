"""Which examples of a source are wanted, by what their metadata say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """All that an example's metadata must say; an example that does not say it is left out."""

    success: bool | None = None
    """``metadata.success``."""
    feedback_score: float | None = None
    """``metadata.feedback_score`` is at least this."""
    hitl_approved: bool | None = None
    """``metadata.hitl_approved``: a person in the loop approved what came of it."""
    since: datetime | None = None
    """``metadata.created_at`` is not before this; with a time zone."""
    until: datetime | None = None
    """``metadata.created_at`` is before this; with a time zone."""
    tags: tuple[str, ...] = ()
    """All of them stand in ``metadata.tags``, a list or a text with commas."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Further key → value; a text also matches by its JSON (``"5"`` matches 5)."""

    def match(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether an example with this metadata is wanted."""
        exact = {"success": self.success, "hitl_approved": self.hitl_approved, **self.metadata}
        return (
            all(_equal(metadata.get(k), v) for k, v in exact.items() if v is not None)
            and self._rated(metadata.get("feedback_score"))
            and self._in_time(metadata.get("created_at"))
            and set(self.tags) <= set(_listed(metadata.get("tags")))
        )

    def _rated(self, score: object) -> bool:
        if self.feedback_score is None:
            return True
        try:
            return float(str(score)) >= self.feedback_score
        except ValueError:
            return False

    def _in_time(self, created_at: object) -> bool:
        if self.since is None and self.until is None:
            return True
        try:
            at = datetime.fromisoformat(str(created_at))
        except ValueError:
            return False
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)

    def __str__(self) -> str:
        """Return what is asked for, for people: ``success=True, tags=(…)``."""
        asked = {name: getattr(self, name) for name in self.__dataclass_fields__}
        given = {k: v for k, v in asked.items() if v not in (None, (), {}) and k != "metadata"}
        return ", ".join(f"{k}={v!r}" for k, v in {**given, **self.metadata}.items()) or "none"


NO_FILTERS: Final = Filters()


def _equal(found: object, wanted: object) -> bool:
    """Compare; texts of CSV files (``true``, ``True``, ``5``) count as what they mean."""
    if found is None:
        return False
    return found == wanted or _meaning(found) == _meaning(wanted)


def _meaning(value: object) -> str:
    if isinstance(value, str):
        return value.strip().lower() if value.strip().lower() in {"true", "false"} else value
    return json.dumps(value, sort_keys=True, default=str)


def _listed(tags: object) -> Sequence[str]:
    if isinstance(tags, str):
        return [tag.strip() for tag in tags.split(",")]
    return [str(tag) for tag in tags] if isinstance(tags, list | tuple) else []
