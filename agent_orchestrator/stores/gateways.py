"""The gateways of this machine: each writes down where it listens, for as long as it lives.

One file a process, which holds a lock on it. The kernel gives the lock back when the process dies,
however it dies: a file that nobody holds is what a dead gateway left behind.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent_orchestrator.stores.files import storage_error


@dataclass(frozen=True, slots=True, order=True)
class GatewayAddress:
    """Where a running gateway listens."""

    port: int
    host: str
    pid: int

    @property
    def process(self) -> str:
        """The name that it goes by on the boards."""
        return process_name(self.pid)

    @property
    def url(self) -> str:
        """Its base URL, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def process_name(pid: int) -> str:
    """Return the name of a gateway's process."""
    return f"gateway-{pid}"


_ADDRESS: TypeAdapter[GatewayAddress] = TypeAdapter(GatewayAddress)


@contextmanager
def announced(folder: Path, host: str, port: int) -> Iterator[GatewayAddress]:
    """Let others know that this process listens there; take it back at the end.

    Raises StorageError when the folder cannot be written.
    """
    address = GatewayAddress(port, host, os.getpid())
    path = folder / f"{address.pid}-{secrets.token_hex(4)}.json"  # a name that never comes again
    unfinished = path.with_suffix(".new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except OSError as error:
        raise storage_error(path, error) from error
    with open(descriptor, "wb", buffering=0) as stream:  # noqa: PTH123 - a descriptor, not a path
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            stream.write(_ADDRESS.dump_json(address))
            unfinished.rename(path)  # held before anybody can see it
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise storage_error(path, error) from error
        try:
            yield address
        finally:
            path.unlink(missing_ok=True)


def running_gateways(folder: Path) -> list[GatewayAddress]:
    """Return the gateways that live, by port; what dead ones left is removed."""
    found = (_read_if_held(path) for path in folder.glob("*.json"))
    return sorted(address for address in found if address is not None)


def _read_if_held(path: Path) -> GatewayAddress | None:
    try:
        with path.open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _ADDRESS.validate_json(stream.read())
            with suppress(OSError):  # a folder that we may only read
                path.unlink(missing_ok=True)
    except (FileNotFoundError, ValidationError):  # it has just left, or this is no file of ours
        pass
    return None
