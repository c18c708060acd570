"""Who takes part, and how each is started."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

from contest.driver import AGENT, CANDIDATE, STABLE, STABLE_SHARE
from contest.peers import LITELLM, PORTKEY, TENSORZERO, Peer
from contest.split import write_models_yaml

Kind = Literal["baseline", "in process", "over HTTP"]

_LITELLM_ENVIRONMENT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
"""It would ask the network for prices at its start."""
_TOKEN = f"sk-{secrets.token_hex(24)}"
"""Of the servers that check one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A contestant's own process. ``url`` is its base URL up to ``/v1``."""

    command: tuple[str, ...]
    url: str
    model: str
    """What it calls the split."""
    headers: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a contestant runs."""

    upstream: str
    """Base URL of the mock up to ``/v1``."""
    folder: Path
    """For files of its own."""
    port: int
    """A free port of loopback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One row of the table."""

    name: str
    title: str
    kind: Kind
    driver: str
    """Module under ``contest.drivers``."""
    server: Callable[[Place], Server] | None = None
    """Writes its configuration and says how it is started; None for one without a process."""
    peer: Peer | None = None
    """Whose environment it needs; None for what runs in ours."""
    package: str = ""
    """The installed distribution whose version counts, for what runs in ours."""
    seconds: float = 45.0
    """How long the load lasts at most; a peer that is slow makes fewer requests in it."""
    splits: bool = True
    """Whether it divides requests between two models."""

    @property
    def driver_python(self) -> Path:
        """Interpreter of the driver: a server is driven from ours."""
        if self.peer is None or self.server is not None:
            return Path(sys.executable)
        return self.peer.python

    @property
    def version(self) -> str:
        """The version that is measured."""
        return self.peer.version if self.peer else metadata.version(self.package)


def _chef_gateway(place: Place) -> Server:
    """`chef serve`'s gateway process, with its token."""
    environment = {
        "CHEF_CONFIG": str(write_models_yaml(place.folder, place.upstream)),
        "CHEF_STATE": str(place.folder / "state"),
        "CHEF_GATEWAY_PORT": str(place.port),
        "CHEF_GATEWAY_TOKEN": _TOKEN,
        "CHEF_LOG_LEVEL": "WARNING",
    }
    module = "agent_orchestrator.wiring.gateway_process"
    return Server(
        command=(sys.executable, "-m", module, "--with-parent"),
        url=f"http://127.0.0.1:{place.port}/v1",
        model=f"agent/{AGENT}",
        headers={"Authorization": f"Bearer {_TOKEN}"},
        environment=environment,
    )


def _forwarder(place: Place) -> Server:
    return Server(
        command=(sys.executable, "-m", "contest.forwarder", place.upstream, str(place.port)),
        url=f"http://127.0.0.1:{place.port}/v1",
        model="split",
    )


def _litellm_proxy(place: Place) -> Server:
    """One worker, no database, no telemetry; it does not start without a key."""
    shares = ((STABLE, STABLE_SHARE), (CANDIDATE, 100 - STABLE_SHARE))
    config = {
        "model_list": [
            {
                "model_name": "chat",
                "litellm_params": {
                    "model": f"openai/{model}",
                    "api_base": place.upstream,
                    "api_key": "none",
                    "weight": weight,
                },
            }
            for model, weight in shares
        ],
        "litellm_settings": {"telemetry": False},
        "general_settings": {"master_key": _TOKEN},
    }
    path = place.folder / "litellm.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    command = [str(LITELLM.folder / "bin" / "litellm"), "--config", str(path)]
    command += ["--host", "127.0.0.1", "--port", str(place.port), "--num_workers", "1"]
    return Server(
        command=tuple(command),
        url=f"http://127.0.0.1:{place.port}/v1",
        model="chat",
        headers={"Authorization": f"Bearer {_TOKEN}"},
    )


def _portkey(place: Place) -> Server:
    """Its split is a header of every request."""
    shares = ((STABLE, STABLE_SHARE), (CANDIDATE, 100 - STABLE_SHARE))
    config = {
        "strategy": {"mode": "loadbalance"},
        "targets": [
            {
                "provider": "openai",
                "custom_host": place.upstream,
                "api_key": "none",
                "weight": weight / 100,
                "override_params": {"model": model},
            }
            for model, weight in shares
        ],
    }
    start = PORTKEY.folder / "node_modules" / "@portkey-ai" / "gateway" / "build"
    return Server(
        command=("node", str(start / "start-server.js"), f"--port={place.port}", "--headless"),
        url=f"http://127.0.0.1:{place.port}/v1",
        model="split",
        headers={"x-portkey-config": json.dumps(config)},
        environment={"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost", "NODE_ENV": "production"},
    )


CONTESTANTS = (
    Contestant(
        name="direct-aiohttp",
        title="direct call, aiohttp (the method's noise)",
        kind="baseline",
        driver="aiohttp_calls",
        package="aiohttp",
        splits=False,
        seconds=5.0,
    ),
    Contestant(
        name="direct-httpx",
        title="direct call, httpx",
        kind="baseline",
        driver="httpx_calls",
        package="httpx",
        splits=False,
        seconds=5.0,
    ),
    Contestant(
        name="chef-router",
        title="code/chef router",
        kind="in process",
        driver="chef_router",
        package="code-chef",
        seconds=180.0,
    ),
    Contestant(
        name="litellm-router",
        title="LiteLLM Router",
        kind="in process",
        driver="litellm_router",
        peer=LITELLM,
    ),
    Contestant(
        name="tensorzero",
        title="TensorZero embedded",
        kind="in process",
        driver="tensorzero_embedded",
        peer=TENSORZERO,
    ),
    Contestant(
        name="forwarder",
        title="bare aiohttp forwarder (the floor)",
        kind="over HTTP",
        driver="aiohttp_calls",
        server=_forwarder,
        package="aiohttp",
        seconds=15.0,
    ),
    Contestant(
        name="chef-gateway",
        title="code/chef gateway",
        kind="over HTTP",
        driver="aiohttp_calls",
        server=_chef_gateway,
        package="code-chef",
        seconds=180.0,
    ),
    Contestant(
        name="litellm-proxy",
        title="LiteLLM proxy, 1 worker",
        kind="over HTTP",
        driver="aiohttp_calls",
        server=_litellm_proxy,
        peer=LITELLM,
    ),
    Contestant(
        name="portkey",
        title="Portkey gateway",
        kind="over HTTP",
        driver="aiohttp_calls",
        server=_portkey,
        peer=PORTKEY,
    ),
)


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of every process: ours, without our own variables."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CHEF_", "MODELOPS_"))}
    benchmarks = str(Path(__file__).resolve().parents[1])
    return {**kept, "PYTHONPATH": benchmarks, **_LITELLM_ENVIRONMENT, **extra}
