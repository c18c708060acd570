"""The gateways of this machine: each writes down where it listens, for as long as it lives.

So does the API, in a folder of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent_orchestrator.stores.living import all_alive, kept_alive


@dataclass(frozen=True, slots=True, order=True)
class GatewayAddress:
    """Where a running gateway listens."""

    port: int
    host: str
    pid: int
    asks_for_key: bool = True

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
def announced(
    folder: Path, host: str, port: int, *, asks_for_key: bool = True
) -> Iterator[GatewayAddress]:
    """Let others know that this process listens there; take it back at the end.

    Raises StorageError when the folder cannot be written.
    """
    address = GatewayAddress(port, host, os.getpid(), asks_for_key)
    with kept_alive(folder, _ADDRESS.dump_json(address)):
        yield address


def running_gateways(folder: Path) -> list[GatewayAddress]:
    """Return the gateways that live, by port; what dead ones left is removed."""
    addresses = []
    for said in all_alive(folder):
        with suppress(ValidationError):  # this is no file of ours
            addresses.append(_ADDRESS.validate_json(said))
    return sorted(addresses)
