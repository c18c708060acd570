"""Access tokens and those who bear them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.domain.roles import Role
from agent_orchestrator.stores.key_files import fingerprint

DOOR = "http"


class KnownToken(Protocol):
    """An access token, as far as it is kept."""

    @property
    def name(self) -> str:
        """Who bears it."""

    @property
    def role(self) -> Role:
        """What they may do."""


class KnownTokens(Protocol):
    """The tokens and their hot reload (``stores.key_files.KeySource``)."""

    @property
    def current(self) -> Mapping[str, KnownToken]:
        """The tokens by their SHA-256 in hex."""

    async def watch(self) -> None:
        """Follow the file until cancelled."""


@dataclass(frozen=True, slots=True)
class Access:
    """Tells callers by their token."""

    tokens: KnownTokens
    anybody: Caller | None = None
    """Who everybody is taken for who sends no token; None lets nobody in without one."""

    def caller(self, token: str | None) -> Caller | None:
        """Return who bears the token; None for nobody we know."""
        if token is None:
            return self.anybody
        # Looking up a hash tells no one how much of a guessed token was right.
        found = self.tokens.current.get(fingerprint(token))
        return Caller(found.name, DOOR, found.role) if found else None
