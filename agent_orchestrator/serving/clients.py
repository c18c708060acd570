"""Who asks: the bearer of the shared token, or a client with a key of its own."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from agent_orchestrator.errors import ChefError

METRICS_PATH = "/metrics"


class KnownKey(Protocol):
    """One client's key, as far as it is kept."""

    @property
    def name(self) -> str:
        """The client's name."""

    @property
    def scope(self) -> str:
        """``chat`` or ``metrics``."""


class WatchedKeys(Protocol):
    """The keys and their hot reload (``stores.key_files.KeySource``)."""

    @property
    def current(self) -> Mapping[str, KnownKey]:
        """The keys by their SHA-256 in hex."""

    @property
    def last_error(self) -> ChefError | None:
        """Why the file cannot be read; the last good keys stay current."""

    async def watch(self) -> None:
        """Follow the file until cancelled."""


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who may ask. ``name`` is for logs and metrics."""

    name: str
    scope: str | None
    """What its key opens; None for everything."""

    def may(self, path: str) -> bool:
        """Return whether ``path`` is open to it."""
        return self.scope is None or (self.scope == "metrics") == (path == METRICS_PATH)


_ANYBODY = Client("anonymous", None)
_BEARER = Client("token", None)


class Clients:
    """Tells clients by their ``Authorization`` header.

    Without a token and without keys (None; an empty file is a file) everybody is let in.
    """

    def __init__(self, token: str | None, keys: WatchedKeys | None) -> None:
        self._token = token.encode() if token is not None else None
        self._keys = keys

    def of(self, authorization: str) -> Client | None:
        """Return who that is; None for nobody we know."""
        if self._token is None and self._keys is None:
            return _ANYBODY
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        raw = given.strip().encode(errors="surrogateescape")
        if self._token is not None and hmac.compare_digest(raw, self._token):
            return _BEARER
        # Looking up a hash tells no one how much of a guessed key was right.
        found = self._keys and self._keys.current.get(hashlib.sha256(raw).hexdigest())
        return Client(found.name, found.scope) if found else None
