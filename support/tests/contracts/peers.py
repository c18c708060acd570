"""What a contract test talks to: a double on loopback, or the real service with the user's key.

A test takes either through one fixture. What it makes carries a name of its own and is taken away
afterwards; what it reads may take the real service a while to show.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from langsmith import Client
from tests.doubles.langsmith import KEY, LangSmith

from agent_orchestrator.settings import load_settings

T = TypeVar("T")
PATIENCE = 90.0
"""How long the real service may take to show what it was given, seconds."""


@dataclass
class LangSmithPeer:
    """LangSmith behind its real client."""

    client: Client
    patience: float
    _datasets: list[str] = field(default_factory=list)
    _projects: list[str] = field(default_factory=list)

    def dataset(self) -> str:
        """Return an unused data set's name."""
        self._datasets.append(f"chef-contract-{uuid.uuid4().hex[:12]}")
        return self._datasets[-1]

    def project(self) -> str:
        """Return an unused project's name."""
        self._projects.append(f"chef-contract-{uuid.uuid4().hex[:12]}")
        return self._projects[-1]

    def own(self, project: str) -> None:
        """Take a project away afterwards, too."""
        self._projects.append(project)

    def own_dataset(self, name: str) -> None:
        """Take a data set away afterwards, too."""
        self._datasets.append(name)

    def eventually(self, look: Callable[[], T]) -> T:
        """Return what ``look`` finds once it is something; fails when it stays nothing."""
        return eventually(look, self.patience)

    def clean(self) -> None:
        """Take away what was made."""
        for name in self._projects:
            if self.client.has_project(name):
                self.client.delete_project(project_name=name)
        for name in self._datasets:
            if self.client.has_dataset(dataset_name=name):
                self.client.delete_dataset(dataset_name=name)


def eventually(look: Callable[[], T], patience: float) -> T:
    """Return what ``look`` finds once it is something; AssertionError after ``patience``."""
    until = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < until, f"still nothing after {patience:g} s: {found!r}"
        time.sleep(0.5)
    return found


@contextmanager
def langsmith_double() -> Iterator[LangSmithPeer]:
    """Run the double."""
    with LangSmith() as service:
        yield from _peer(Client(api_url=service.url, api_key=KEY), patience=60)


@contextmanager
def langsmith_service() -> Iterator[LangSmithPeer]:
    """Use the user's account; skips without a key."""
    settings = load_settings()
    if settings.langsmith_api_key is None:
        pytest.skip("LANGSMITH_API_KEY is not set: LangSmith itself is not asked")
    key = settings.langsmith_api_key.get_secret_value()
    yield from _peer(Client(api_url=settings.langsmith_endpoint, api_key=key), PATIENCE)


def _peer(client: Client, patience: float) -> Iterator[LangSmithPeer]:
    peer = LangSmithPeer(client, patience)
    try:
        yield peer
    finally:
        client.flush()
        peer.clean()
        client.close()
