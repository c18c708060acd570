"""registry.json: one file, replaced whole under a lock, with its last ten states beside it.

An update reads, validates, applies a pure function, validates again, and only then replaces. Two
processes never lose each other's update; a killed one leaves the old file or the new one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from agent_orchestrator.domain.models import ModelVersion
from agent_orchestrator.domain.registry import Registry, check_registry
from agent_orchestrator.errors import NotFoundError, RegistryError
from agent_orchestrator.stores.files import locked, replace_atomically, sha256_bytes

Change = Callable[[Registry], Registry]
Migration = Callable[[dict[str, Any]], dict[str, Any]]

KEPT_BACKUPS: Final = 10
_FIRST_SCHEMA: Final = 1
_NAME: Final = re.compile(r"registry-(\d{8,})-[0-9a-f]{8}\.json")
_ADAPTER: TypeAdapter[Registry] = TypeAdapter(Registry)
_VERSION: TypeAdapter[ModelVersion] = TypeAdapter(ModelVersion)


def add_served_log(data: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 → 2: agents say what served when, beginning with the current ``deployed_at``."""
    agents = {}
    for name, record in data["agents"].items():
        deployed = {v["version"]: v.get("deployed_at") for v in record["history"]}
        current = record.get("current")
        since = deployed.get(current)
        log = [{"version": current, "role": "current", "percent": 100, "since": since}]
        agents[name] = {**record, "served": log if since else []}
    return {**data, "agents": agents}


MIGRATIONS: Final[tuple[Migration, ...]] = (add_served_log,)
"""Append only: the n-th makes schema n + 1 of schema n."""

SCHEMA_VERSION: Final = _FIRST_SCHEMA + len(MIGRATIONS)


def decode(data: bytes) -> Registry:
    """Return the registry that ``data`` says, migrated to the present schema.

    Raises RegistryError that names the key; the caller adds where the file is and how to mend it.
    """
    try:
        registry = _ADAPTER.validate_json(data, strict=True)
    except ValidationError:
        return _decode_slowly(data)
    if registry.schema_version != SCHEMA_VERSION or b"NaN" in data or b"Infinity" in data:
        return _decode_slowly(data)
    return check_registry(registry)


_NOTHING_CHANGED: Final = "Nothing was changed: ask for something else."


def _decode_slowly(data: bytes) -> Registry:
    """Migrate an old file, or find out what is wrong with a broken one."""
    try:
        raw = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise RegistryError(f"torn or not JSON: {error}.") from None
    schema = raw.get("schema_version") if isinstance(raw, dict) else None
    if type(schema) is not int or not _FIRST_SCHEMA <= schema <= SCHEMA_VERSION:
        raise RegistryError(
            f"schema_version is {schema!r}; this program knows {_FIRST_SCHEMA} to "
            f"{SCHEMA_VERSION}.",
            remedy="Use the program that wrote it, or a newer one.",
        )
    try:
        registry = _ADAPTER.validate_json(to_json(_migrated(raw, schema)), strict=True)
    except ValidationError as error:
        raise RegistryError(_said(error)) from None
    return check_registry(registry)


def _said(error: ValidationError) -> str:
    """Return the first fault in one line."""
    first = error.errors(include_url=False, include_context=False)[0]
    path = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in first["loc"]).lstrip(".")
    wanted = first["msg"].removeprefix("Input should be ")
    return f"{path} is {str(first['input'])[:60]!r}; wanted: {wanted}."


def _migrated(raw: dict[str, Any], schema: int) -> dict[str, Any]:
    for migration in MIGRATIONS[schema - _FIRST_SCHEMA :]:
        try:
            raw = migration(raw)
        except (KeyError, TypeError, AttributeError) as error:
            raise RegistryError(
                f"not of schema {schema}: migration {migration.__name__} failed on {error}."
            ) from None
    return {**raw, "schema_version": SCHEMA_VERSION}


def encode(registry: Registry) -> bytes:
    """Return the registry as indented JSON with every key, and a line break at the end."""
    return _ADAPTER.dump_json(registry, indent=2) + b"\n"


def _revision(backup: Path) -> int:
    return int(backup.name.split("-")[1])


class RegistryFile:
    """The file on disk. Every method blocks.

    All raise RegistryError for a broken file, naming the backup to restore; those that change it
    also LockTimeout and StorageError (the old content stands).
    """

    def __init__(
        self, path: Path, *, clock: Callable[[], float] = time.time, lock_timeout: float = 30.0
    ) -> None:
        """``clock`` returns seconds since the epoch."""
        self.path = path
        self._backups = path.parent / "backups"
        self._clock = clock
        self._lock_timeout = lock_timeout

    def now(self) -> str:
        """Return the clock's time as ISO 8601 text, UTC, to the millisecond."""
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")

    def read(self) -> Registry:
        """Return the registry; an empty one of revision 0 when there is neither file nor backup."""
        return self._load()[0]

    def update(self, change: Change) -> Registry:
        """Apply a pure function and return the new registry: one atomic file replace.

        The revision rises by one; nothing is written when nothing changes, so an update may be
        repeated. An error of ``change`` leaves everything as it was, and so does a result that
        contradicts itself (RegistryError).
        """
        with locked(self.path, self._lock_timeout):
            before, old = self._load()
            changed = change(before)
            if changed == before:
                return before
            _check_new(changed, before)
            return self._write(changed, before.revision + 1, old)

    def backups(self) -> list[Path]:
        """Return the kept states of the file, newest first."""
        found = [path for path in self._backups.glob("*.json") if _NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: (_revision(path), path.stat().st_mtime), reverse=True)

    def restore(self, backup: str) -> Registry:
        """Make a backup the registry again, under a new revision; return it.

        The file that is replaced is kept as a backup too, broken or not. Raises NotFoundError for
        a name that is not among the backups, RegistryError for a broken backup.
        """
        with locked(self.path, self._lock_timeout):
            known = {path.name: path for path in self.backups()}
            if backup not in known:
                raise NotFoundError(
                    f"No backup {backup!r} in {self._backups}.",
                    remedy=f"Newest first: {', '.join(known) or 'none'}.",
                )
            try:
                restored = decode(known[backup].read_bytes())
            except RegistryError as error:
                raise RegistryError(
                    f"{known[backup]}: {error.message}", remedy="Restore another backup."
                ) from None
            newest = max(map(_revision, known.values()))
            old = self.path.read_bytes() if self.path.exists() else b""
            return self._write(restored, newest + 1, old)

    def _write(self, registry: Registry, revision: int, old: bytes) -> Registry:
        registry = replace(
            registry,
            schema_version=SCHEMA_VERSION,
            revision=revision,
            updated_at=self.now(),
        )
        data = encode(registry)
        if old:
            # The new state is kept before it is in force: so none is lost when the file is torn.
            self._keep(old, revision - 1)
            self._keep(data, revision)
        replace_atomically(self.path, data)
        if not old:  # a backup without a file would look like a lost registry
            self._keep(data, revision)
        litter = self._backups.glob(".*.tmp")  # of writers that were killed
        for outdated in (*self.backups()[KEPT_BACKUPS:], *litter):
            outdated.unlink(missing_ok=True)
        return registry

    def _keep(self, data: bytes, revision: int) -> None:
        """Write a backup, named by revision and content; one that is there already stays."""
        name = f"registry-{revision:08d}-{sha256_bytes(data)[:8]}.json"
        path = self._backups / name
        if not path.exists():
            replace_atomically(path, data, durable=False)

    def _load(self) -> tuple[Registry, bytes]:
        """Return the registry and the bytes it was read from."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            if not self.backups():
                now = self.now()
                return Registry(schema_version=SCHEMA_VERSION, created_at=now, updated_at=now), b""
            raise self._broken(RegistryError("missing, though its backups are there.")) from None
        except OSError as error:
            raise RegistryError(
                f"Cannot read {str(self.path)!r}: {error.strerror}.",
                remedy="Look at its permissions.",
            ) from error
        try:
            return decode(data), data
        except RegistryError as error:
            raise self._broken(error) from None

    def _broken(self, fault: RegistryError) -> RegistryError:
        """Return ``fault`` with the file's name and the newest backup that is whole."""
        whole = (backup for backup in self.backups() if _is_whole(backup))
        if fault.remedy:
            remedy = fault.remedy
        elif (newest := next(whole, None)) is not None:
            remedy = f"Undo the edit, or go back with `chef registry restore {newest.name}`."
        else:
            remedy = f"No valid backup is in {self._backups}: mend it by hand."
        return RegistryError(f"{self.path}: {fault.message}", remedy=remedy)


def _check_new(changed: Registry, before: Registry) -> None:
    """Refuse an update whose result could not be read again; old versions were read just now."""
    known = {id(version) for record in before.agents.values() for version in record.history}
    try:
        check_registry(changed)
        for record in changed.agents.values():
            for version in record.history:
                if id(version) not in known:
                    _VERSION.validate_json(_VERSION.dump_json(version), strict=True)
    except RegistryError as error:
        raise RegistryError(
            f"The update contradicts itself: {error.message}", remedy=_NOTHING_CHANGED
        ) from None
    except ValidationError as error:
        raise RegistryError(
            f"The update would break the registry: {_said(error)}", remedy=_NOTHING_CHANGED
        ) from None


def _is_whole(backup: Path) -> bool:
    try:
        decode(backup.read_bytes())
    except (RegistryError, OSError):
        return False
    return True
