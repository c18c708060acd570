"""What processes say of themselves for as long as they live.

One file a process, which holds a lock on it. The kernel gives the lock back when the process dies,
however it dies: a file that nobody holds is what a dead process left behind.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent_orchestrator.stores.files import storage_error


@contextmanager
def kept_alive(folder: Path, said: bytes) -> Iterator[None]:
    """Say this until the end, or until the process dies. Raises StorageError."""
    path = folder / f"{os.getpid()}-{secrets.token_hex(4)}.json"  # a name that never comes again
    unfinished = path.with_suffix(".new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except OSError as error:
        raise storage_error(path, error) from error
    with open(descriptor, "wb", buffering=0) as stream:  # noqa: PTH123 - a descriptor, not a path
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            stream.write(said)
            unfinished.rename(path)  # held before anybody can see it
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise storage_error(path, error) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def all_alive(folder: Path) -> list[bytes]:
    """Return what those that live say; what dead ones left is removed."""
    found = (_read_if_held(path) for path in folder.glob("*.json"))
    return [said for said in found if said is not None]


def _read_if_held(path: Path) -> bytes | None:
    try:
        with path.open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return stream.read()
            with suppress(OSError):  # a folder that we may only read
                path.unlink(missing_ok=True)
    except FileNotFoundError:  # it has just left
        pass
    return None
