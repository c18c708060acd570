"""What may leave this machine in a trace: no secret, and nothing of unbounded size."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.datasets.scrubbing import without_secrets

REMOVED: Final = "<removed>"
_SECRET_NAME: Final = re.compile(
    r"^(?:authorization|cookie|set-cookie|credentials?|.*(?:password|passwd|secret|api[_-]?key"
    r"|access[_-]?key|private[_-]?key|(?<!max_)token))$",
    re.IGNORECASE,
)
_SHORTEST_SECRET: Final = 8
"""Known values that are shorter stand in too many texts by chance."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The size of a payload."""

    characters: int = 8_000
    """Of one text."""
    items: int = 200
    """Of one list or mapping."""
    depth: int = 12
    total: int = 200_000
    """Of the whole, as JSON."""


DEFAULT_LIMITS: Final = Limits()


class Redaction:
    """Makes payloads fit to be sent.

    Removed are the values of keys that are named like secrets, texts of a known secret's form, and
    the secrets that this installation is configured with, wherever they stand.
    """

    def __init__(self, secrets: Collection[str], limits: Limits = DEFAULT_LIMITS) -> None:
        known = sorted((s for s in secrets if len(s) >= _SHORTEST_SECRET), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None
        self._limits = limits

    def payload(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy that may be sent; what was cut says how long it was."""
        cut = self._mapping(value, 0)
        size = len(json.dumps(cut, default=str))
        if size > self._limits.total:
            return {"note": f"Left out: {size} characters of JSON, keys {sorted(cut)[:20]}."}
        return cut

    def text(self, text: str) -> str:
        """Return a text that may be sent."""
        longest = self._limits.characters
        if self._known is not None:
            text = self._known.sub(REMOVED, text)
        if len(text) <= longest:
            return without_secrets(text)
        # A secret that is cut in two would not be known any more.
        kept = without_secrets(text[: 2 * longest])[:longest]
        return f"{kept}… ({len(text)} characters in all)"

    def _value(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, bytes | bytearray):
            return f"({len(value)} bytes)"
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            if depth >= self._limits.depth:
                return "(nested too deeply)"
            if isinstance(value, Mapping):
                return self._mapping(value, depth)
            return self._list(list(value), depth)
        return self.text(str(value))

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        found = {}
        for key, item in list(value.items())[: self._limits.items]:
            name = self.text(str(key))
            secret = isinstance(item, str) and _SECRET_NAME.match(name)
            found[name] = REMOVED if secret and item else self._value(item, depth + 1)
        if len(value) > self._limits.items:
            found["…"] = f"({len(value)} entries in all)"
        return found

    def _list(self, value: list[Any], depth: int) -> list[Any]:
        found = [self._value(item, depth + 1) for item in value[: self._limits.items]]
        if len(value) > self._limits.items:
            found.append(f"… ({len(value)} items in all)")
        return found
