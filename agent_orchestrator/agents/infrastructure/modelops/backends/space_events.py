"""TensorBoard files of a job on a Space, brought here as they grow."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx2

from agent_orchestrator.agents.infrastructure.modelops.backends.space_client import SpaceClient
from agent_orchestrator.agents.infrastructure.modelops.backends.space_protocol import (
    EventFile,
    is_event_path,
)
from agent_orchestrator.errors import ChefError, LockTimeout
from agent_orchestrator.stores.files import locked

log = logging.getLogger(__name__)

#: A training that logs for hours writes a few megabytes; anything else is not looked at.
_MOST_BYTES: Final = 256 * 1024 * 1024


def bring_events(client: SpaceClient, url: str, files: Sequence[EventFile], folder: Path) -> None:
    """Add to the files in ``folder`` what the Space's have more.

    They are for the eye alone: where it does not work now the next look tries again. One process
    at a time does it.
    """
    try:
        with locked(folder, timeout=0):
            for file in files:
                _bring(client, url, file, folder)
    except LockTimeout:
        return
    except (ChefError, httpx2.HTTPError, OSError) as error:
        log.info("TensorBoard files: %s", error)


def _bring(client: SpaceClient, url: str, file: EventFile, folder: Path) -> None:
    path = folder / file.path
    have = path.stat().st_size if path.exists() else 0
    if have >= file.bytes or not is_event_path(file.path) or file.bytes > _MOST_BYTES:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with client.stream(f"{url}/{quote(file.path)}", have) as response:
        goes_on = response.status_code == httpx2.codes.PARTIAL_CONTENT
        with path.open("ab" if goes_on else "wb") as stream:
            for block in response.iter_bytes():
                stream.write(block)
