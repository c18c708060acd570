"""Files of the keys that let clients in: names and hashes, changed by people, followed by servers.

A key has 256 random bits, so one SHA-256 of it tells it from every other and cannot be turned back:
the slow hashes that passwords need would only cost every request.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

import anyio.to_thread
from pydantic import TypeAdapter, ValidationError

from agent_orchestrator.errors import ConflictError, InputError, NotFoundError, SettingsError
from agent_orchestrator.stores.files import locked, replace_atomically

log = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_RESERVED = {"token", "anonymous"}
_POLL_SECONDS = 0.5


class KeptKey(Protocol):
    """One client's key, as far as it is kept."""

    @property
    def name(self) -> str:
        """Whose it is; at most one key has it."""

    @property
    def sha256(self) -> str:
        """Its ``fingerprint``."""


K = TypeVar("K", bound=KeptKey)


@dataclass(frozen=True, slots=True)
class KeyDocument(Generic[K]):
    """What stands in such a file."""

    schema_version: Literal[1]
    keys: tuple[K, ...]


@dataclass(frozen=True, slots=True)
class Wording:
    """How messages name a kind of key, and what they advise."""

    key: str
    """E.g. ``key``."""
    variable: str
    """Environment variable that says where the file lies."""
    command: str
    """Group of commands that changes it."""


def fingerprint(key: str | bytes) -> str:
    """Return what is kept of a key."""
    raw = key.encode(errors="surrogateescape") if isinstance(key, str) else key
    return hashlib.sha256(raw).hexdigest()


class KeyFile(Generic[K]):
    """Such a file. Every method blocks; those that change it hold its lock.

    All raise SettingsError for a broken file; those that change it also StorageError and
    LockTimeout.
    """

    def __init__(self, path: Path, document: TypeAdapter[KeyDocument[K]], wording: Wording) -> None:
        self.path = path
        self._document = document
        self._wording = wording

    def read(self) -> tuple[K, ...]:
        """Return the keys; none without a file."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise SettingsError(
                f"Cannot read {str(self.path)!r}: {error.strerror or error}.",
                remedy=f"Set {self._wording.variable} to a file that can be read.",
            ) from error
        try:
            return self._document.validate_json(raw).keys
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the document"
            raise SettingsError(
                f"{self.path}: {where}: {first['msg']}.",
                remedy="Take the file back from a backup, or remove it and add the keys again.",
            ) from None

    def _add(self, name: str, kept: Callable[[str], K]) -> str:
        """Return a new key for ``name``; ``kept`` makes what is kept of it from its hash.

        Raises InputError for a name that cannot be used, ConflictError for one that is taken.
        """
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise InputError(
                f"A client cannot be named {name!r}.",
                remedy="Use a-z, 0-9, '-' and '_', at most 40, other than 'token', 'anonymous'.",
            )
        key = f"chef_{secrets.token_urlsafe(32)}"
        with locked(self.path):
            keys = self.read()
            if any(known.name == name for known in keys):
                raise ConflictError(
                    f"There is a {self._wording.key} for {name!r}.",
                    remedy=f"Revoke it first: {self._wording.command} revoke {name}; "
                    "or add one by another name and revoke the old one when nobody uses it.",
                )
            self._write((*keys, kept(fingerprint(key))))
        return key

    def revoke(self, name: str) -> None:
        """Let a client in no more. Raises NotFoundError."""
        with locked(self.path):
            keys = self.read()
            left = tuple(known for known in keys if known.name != name)
            if left == keys:
                raise NotFoundError(
                    f"There is no {self._wording.key} for {name!r}.",
                    remedy=f"See `{self._wording.command} list`.",
                )
            self._write(left)

    def _write(self, keys: tuple[K, ...]) -> None:
        written = self._document.dump_json(KeyDocument(1, keys), indent=2)
        replace_atomically(self.path, written + b"\n")


class KeySource(Generic[K]):
    """The keys as they are now, for a process that must not wait: ``current``, by their hashes.

    A broken file leaves the keys as they were, with ``last_error``; one that is gone revokes all.
    """

    def __init__(self, file: KeyFile[K]) -> None:
        """Read the file once. Raises SettingsError."""
        self._file = file
        self._seen = self._signature()
        self.current: Mapping[str, K] = _by_hash(self._file.read())
        self.last_error: SettingsError | None = None

    async def watch(self) -> None:
        """Follow the file until cancelled."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            self.reload(await anyio.to_thread.run_sync(self._signature))

    def reload(self, signature: object) -> None:
        """Read the file if ``signature`` is not the last one's."""
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self.current = _by_hash(self._file.read())
            self.last_error = None
        except SettingsError as error:
            self.last_error = error
            log.error("%s", error)  # noqa: TRY400 - one line for people

    def _signature(self) -> object:
        try:
            stat = self._file.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size


def _by_hash(keys: tuple[K, ...]) -> dict[str, K]:
    return {key.sha256: key for key in keys}
