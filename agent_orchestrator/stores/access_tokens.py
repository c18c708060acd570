"""The access tokens of people and programs that use the API, each with a role."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from agent_orchestrator.domain.roles import Role
from agent_orchestrator.stores.key_files import KeyDocument, KeyFile, Wording


@dataclass(frozen=True, slots=True)
class AccessToken:
    """One token, as far as it is kept."""

    name: str
    """Who bears it; what they ask for and approve is recorded under this name."""
    sha256: str
    role: Role
    created_at: float
    """Seconds since the epoch."""


_DOCUMENT: Final = TypeAdapter(KeyDocument[AccessToken])
_WORDING: Final = Wording("token", "CHEF_API_TOKENS_FILE", "chef api tokens")


class AccessTokens(KeyFile[AccessToken]):
    """Their file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _DOCUMENT, _WORDING)

    def add(self, name: str, role: Role, now: float) -> str:
        """Return a new token for ``name``; it cannot be read again.

        Raises InputError for a name that cannot be used, ConflictError for one that is taken.
        """
        return self._add(name, lambda sha256: AccessToken(name, sha256, role, now))
