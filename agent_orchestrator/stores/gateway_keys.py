"""The keys of the gateway's clients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import TypeAdapter

from agent_orchestrator.stores.key_files import KeyDocument, KeyFile, Wording

Scope = Literal["chat", "metrics"]
"""What a key opens: ``/v1`` or ``/metrics``."""


@dataclass(frozen=True, slots=True)
class ClientKey:
    """One client's key, as far as it is kept."""

    name: str
    sha256: str
    scope: Scope
    created_at: float
    """Seconds since the epoch."""


_DOCUMENT: Final = TypeAdapter(KeyDocument[ClientKey])
_WORDING: Final = Wording("key", "CHEF_GATEWAY_KEYS_FILE", "chef gateway keys")


class GatewayKeys(KeyFile[ClientKey]):
    """Their file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _DOCUMENT, _WORDING)

    def add(self, name: str, scope: Scope, now: float) -> str:
        """Return a new key for ``name``; it cannot be read again.

        Raises InputError for a name that cannot be used, ConflictError for one that is taken.
        """
        return self._add(name, lambda sha256: ClientKey(name, sha256, scope, now))
