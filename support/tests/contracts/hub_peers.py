"""The Hugging Face Hub for contract tests: the double, or the service with the user's token."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import GatedRepoError
from tests.doubles.hub import USER, WRITE, HubDouble
from tests.doubles.hub_workshop import really_run
from tests.doubles.workshop import PYTHON

from agent_orchestrator.agents.infrastructure.modelops.backends.hf_jobs import HfJobsBackend
from agent_orchestrator.agents.infrastructure.modelops.backends.jobs_client import JobsClient
from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub
from agent_orchestrator.errors import ConfigurationError
from agent_orchestrator.settings import load_settings
from agent_orchestrator.stores.defaults import HfJobsDefaults

#: Public models that the tests ask about, as their pages have been for long.
OPEN, OPEN_PARAMETERS = "Qwen/Qwen2.5-0.5B", 494_032_768
GATED = "meta-llama/Llama-3.1-8B"


@dataclass
class HubPeer:
    """A Hub behind its real client, and whose token it is."""

    hub: Hub
    user: str
    patience: float
    """How long a job may take, seconds."""
    environment: dict[str, str]
    """What points a job at this Hub."""
    _repos: list[tuple[str, str]] = field(default_factory=list)

    def repo(self, kind: str = "model") -> str:
        """Return an unused repository's name."""
        name = f"{self.user}/chef-contract-{uuid.uuid4().hex[:12]}"
        self.own(kind, name)
        return name

    def own(self, kind: str, name: str) -> None:
        """Take a repository away afterwards, if it is there."""
        self._repos.append((kind, name))

    def backend(self, folder: Path, **defaults: Any) -> HfJobsBackend:
        """Return HF Jobs as a training backend."""
        client = JobsClient(self.hub, self.user)
        return HfJobsBackend(
            connect=lambda: client,
            owner=self.user,
            defaults=HfJobsDefaults(**defaults),
            locks_dir=folder / "locks",
            environment=self.environment,
        )

    def may_read(self, model: str) -> bool:
        """Tell whether a gated model is open to the token."""
        try:
            self.hub.api.auth_check(model)
        except GatedRepoError:
            return False
        return True

    def needs_jobs(self) -> None:
        """Skip where the token may not run jobs."""
        try:
            self.hub.check_push(self.user, jobs=True)
        except ConfigurationError as error:
            pytest.skip(str(error))

    def clean(self) -> None:
        """Take away what was made."""
        for kind, name in self._repos:
            self.hub.api.delete_repo(name, repo_type=kind, missing_ok=True)


@contextmanager
def hub_double(folder: Path) -> Iterator[HubPeer]:
    """Run the double; its jobs are processes of this machine."""
    with HubDouble() as double:
        double.repos.add_model(OPEN, parameters=OPEN_PARAMETERS)
        double.repos.add_model(
            GATED, parameters=8_030_261_248, card={"license": "llama3.1"}, gated="manual"
        )
        really_run(double, folder, python=PYTHON)
        environment = double.environment(token=None)
        yield from _peer(HubPeer(Hub(WRITE, double.url), USER, 240.0, environment))


@contextmanager
def hub_service() -> Iterator[HubPeer]:
    """Use the user's account; skips without a token that may write."""
    settings = load_settings()
    if settings.huggingface_token is None:
        pytest.skip("HUGGINGFACE_TOKEN is not set: the Hub itself is not asked")
    hub = Hub(settings.huggingface_token.get_secret_value(), settings.hub_endpoint)
    try:
        user = str(hub.api.whoami()["name"])
        hub.check_push(user)
    except ConfigurationError as error:
        pytest.skip(str(error))
    yield from _peer(HubPeer(hub, user, 1800.0, {}))


def _peer(peer: HubPeer) -> Iterator[HubPeer]:
    try:
        yield peer
    finally:
        peer.clean()
