"""Hugging Face as the real ``huggingface_hub`` client sees it: the Hub and Inference Endpoints.

``huggingface_cloud(monkeypatch)`` runs it on loopback and points the client's constants there. An
endpoint goes from pending to running in as many looks as ``boot`` says; its URL is that of a
``ModelServer`` which answers once it runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from huggingface_hub import close_session, constants
from tests.doubles.runners import end

TOKEN = "hf_token"
NAMESPACE = "acme"
_AT = "2026-11-20T12:00:00.000Z"
COMPUTES: Sequence[Mapping[str, Any]] = (
    {"accelerator": "cpu", "type": "intel-spr", "size": "x1", "gpu": None, "price": 0.033},
    {"accelerator": "gpu", "type": "nvidia-t4", "size": "x1", "gpu": 14, "price": 0.50},
    {"accelerator": "gpu", "type": "nvidia-l4", "size": "x1", "gpu": 24, "price": 0.80},
    {"accelerator": "gpu", "type": "nvidia-a10g", "size": "x1", "gpu": 24, "price": 1.00},
    {"accelerator": "gpu", "type": "nvidia-l40s", "size": "x1", "gpu": 48, "price": 1.80},
    {"accelerator": "gpu", "type": "nvidia-a100", "size": "x1", "gpu": 80, "price": 2.50},
)


@dataclass
class Cloud:
    """The service's state; change it as you please."""

    served_at: str = "http://127.0.0.1:9"
    """Base URL of whatever serves, without ``/v1``."""
    boot: Sequence[str] = ("initializing", "running")
    """States that an endpoint goes through after ``pending``, one a look."""
    parameters: float = 7.6e9
    """Weights of every model on the Hub."""
    unusable: Sequence[str] = ()
    """Types of machines that cannot be had."""
    refuse_sleep: bool = False
    endpoints: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    """What was changed: ``POST acme/name`` …"""
    _booting: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, repository: str, state: str, instance: str = "nvidia-l4") -> None:
        """Have an endpoint already."""
        compute = {"accelerator": "gpu", "instanceType": instance, "instanceSize": "x1"}
        payload = {
            "name": name,
            "compute": {**compute, "scaling": {"minReplica": 0, "maxReplica": 1}},
            "model": {"repository": repository, "framework": "pytorch", "image": {}},
            "provider": {"vendor": "aws", "region": "us-east-1"},
            "type": "authenticated",
        }
        self._put(payload, state)

    def state(self, name: str) -> str:
        """Return an endpoint's state, without looking as a client does."""
        return str(self.endpoints[name]["status"]["state"])

    def _put(self, payload: Mapping[str, Any], state: str) -> dict[str, Any]:
        model = {"revision": "main", "task": "text-generation", **payload["model"]}
        self.endpoints[payload["name"]] = {
            **payload,
            "model": model,
            "healthRoute": "/health",
            "status": {
                "state": state,
                "message": f"Endpoint is {state}",
                "createdAt": _AT,
                "updatedAt": _AT,
                "readyReplica": int(state == "running"),
                "targetReplica": 1,
            },
        }
        self._set(payload["name"], state)
        return self.endpoints[payload["name"]]

    def _set(self, name: str, state: str) -> None:
        status = self.endpoints[name]["status"]
        status["state"], status["message"] = state, f"Endpoint is {state}"
        status["url"] = self.served_at  # kept while it sleeps: a request there wakes it

    # -- routes -----------------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        """Return what the client calls."""
        one = "/v2/endpoint/{namespace}/{name}"
        return [
            web.get("/api/whoami-v2", self._whoami),
            web.get("/api/models/{owner}/{name}", self._model),
            web.get("/v2/provider/{namespace}", self._hardware),
            web.get("/v2/endpoint/{namespace}", self._list),
            web.post("/v2/endpoint/{namespace}", self._create),
            web.get(one, self._get),
            web.post(f"{one}/resume", self._resume),
            web.post(f"{one}/scale-to-zero", self._sleep),
        ]

    async def _whoami(self, _request: web.Request) -> web.Response:
        return web.json_response({"type": "user", "name": NAMESPACE, "orgs": []})

    async def _model(self, request: web.Request) -> web.Response:
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        total = int(self.parameters)
        sizes = {"parameters": {"BF16": total}, "total": total}
        return web.json_response({"_id": "1", "id": name, "safetensors": sizes})

    async def _hardware(self, _request: web.Request) -> web.Response:
        computes = [
            {
                "id": f"aws-us-east-1-{one['type']}-{one['size']}",
                "accelerator": one["accelerator"],
                "instanceType": one["type"],
                "instanceSize": one["size"],
                "architecture": one["type"],
                "numAccelerators": 1,
                "numCpus": 4,
                "memoryGb": 16.0,
                "gpuMemoryGb": one["gpu"],
                "pricePerHour": one["price"],
                "status": "not_available" if one["type"] in self.unusable else "available",
                "quota": {"maxAccelerators": 4, "usedAccelerators": 0},
            }
            for one in COMPUTES
        ]
        region = {"name": "us-east-1", "label": "N. Virginia", "computes": computes}
        return web.json_response({"vendors": [{"name": "aws", "regions": [region]}]})

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response({"items": list(self.endpoints.values())})

    async def _create(self, request: web.Request) -> web.Response:
        payload = await request.json()
        name = payload["name"]
        self.calls.append(f"create {name}")
        if name in self.endpoints:
            return web.json_response({"error": f"Endpoint {name} already exists"}, status=409)
        self._booting[name] = list(self.boot)
        return web.json_response(self._put(payload, "pending"), status=202)

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.endpoints:
            return web.json_response({"error": "Endpoint not found"}, status=404)
        if self._booting.get(name):
            self._set(name, self._booting[name].pop(0))
        return web.json_response(self.endpoints[name])

    async def _resume(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.calls.append(f"resume {name}")
        if name not in self.endpoints:
            return web.json_response({"error": "Endpoint not found"}, status=404)
        if self.state(name) == "running":
            return web.json_response({"error": "Endpoint is already running"}, status=400)
        self._set(name, "pending")
        self._booting[name] = list(self.boot)
        return web.json_response(self.endpoints[name])

    async def _sleep(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.calls.append(f"sleep {name}")
        if name not in self.endpoints:
            return web.json_response({"error": "Endpoint not found"}, status=404)
        if self.refuse_sleep:
            return web.json_response({"error": "Endpoint is updating"}, status=400)
        self._booting.pop(name, None)
        self._set(name, "scaledToZero")
        return web.json_response(self.endpoints[name])


@web.middleware
async def _authenticated(request: web.Request, handler: Any) -> web.StreamResponse:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return web.json_response(
            {"error": "Invalid credentials in Authorization header"}, status=401
        )
    answer: web.StreamResponse = await handler(request)
    return answer


@asynccontextmanager
async def huggingface_cloud(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    """Run the service and point the real client at it."""
    cloud = Cloud()
    app = web.Application(middlewares=[_authenticated])
    app.add_routes(cloud.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "INFERENCE_ENDPOINTS_ENDPOINT", f"{url}/v2")
    try:
        yield cloud
    finally:
        close_session()
        await end(runner)
