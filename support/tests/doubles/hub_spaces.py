"""Spaces of the Hub's double: secrets, variables, hardware, pause, restart, runtime, logs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from tests.doubles.hub_repository import AT

if TYPE_CHECKING:
    from tests.doubles.hub import HubDouble

_ONE = "/api/spaces/{owner}/{name}"


@dataclass
class Space:
    """One Space as it runs."""

    stage: str = "NO_APP_FILE"
    hardware: str = "cpu-basic"
    sleep_seconds: int | None = 172_800
    secrets: dict[str, str] = field(default_factory=dict)
    """Names and values; the API never gives the values back."""
    variables: dict[str, str] = field(default_factory=dict)
    booting: list[str] = field(default_factory=list)
    """Stages still to come, one a look."""
    run_log: list[str] = field(default_factory=list)
    build_log: list[str] = field(default_factory=list)
    restarts: int = 0


class SpacesRoom:
    """All Spaces; a repository of kind ``space`` stands behind each."""

    def __init__(self, hub: HubDouble) -> None:
        self._hub = hub
        self._spaces: dict[str, Space] = {}
        self.boot: Sequence[str] = ("BUILDING", "APP_STARTING", "RUNNING")
        """Stages that a Space goes through after a restart, one a look."""

    def get(self, repo_id: str) -> Space:
        """Return a Space; KeyError without it."""
        return self._spaces[repo_id]

    def created(self, repo_id: str, body: Mapping[str, Any]) -> None:
        """Take note of a new Space's repository."""
        hardware = body.get("hardware") or "cpu-basic"
        self._spaces[repo_id] = Space(
            hardware=hardware,
            sleep_seconds=body.get("sleepTimeSeconds", 172_800),
            secrets={one["key"]: one["value"] for one in body.get("secrets") or ()},
            variables={one["key"]: one["value"] for one in body.get("variables") or ()},
            booting=list(self.boot),
        )

    def routes(self) -> list[web.RouteDef]:
        """Return what the client calls."""
        return [
            web.get("/api/spaces/hardware", self._list_hardware),
            web.get(f"{_ONE}/runtime", self._runtime),
            web.post(f"{_ONE}/hardware", self._set_hardware),
            web.post(f"{_ONE}/sleeptime", self._set_sleep_time),
            web.post(f"{_ONE}/pause", self._pause),
            web.post(f"{_ONE}/restart", self._restart),
            web.get(f"{_ONE}/secrets", self._list_secrets),
            web.post(f"{_ONE}/secrets", self._add_secret),
            web.delete(f"{_ONE}/secrets", self._delete_secret),
            web.get(f"{_ONE}/variables", self._list_variables),
            web.post(f"{_ONE}/variables", self._add_variable),
            web.delete(f"{_ONE}/variables", self._delete_variable),
            web.get(f"{_ONE}/logs/{{which:run|build}}", self._logs),
        ]

    def _find(self, request: web.Request) -> Space:
        write = request.method != "GET"
        repo = self._hub.repos.find(request, write=write, kind="space")
        return self._spaces.setdefault(repo.id, Space(booting=list(self.boot)))

    async def _list_hardware(self, _request: web.Request) -> web.Response:
        return web.json_response(hardware("hour"))

    async def _runtime(self, request: web.Request) -> web.Response:
        space = self._find(request)
        if space.booting:
            space.stage = space.booting.pop(0)
        return self._shown(space)

    def _shown(self, space: Space) -> web.Response:
        current = space.hardware if space.stage in {"RUNNING", "RUNNING_BUILDING"} else None
        return web.json_response(
            {
                "stage": space.stage,
                "hardware": {"current": current, "requested": space.hardware},
                "storage": None,
                "gcTimeout": space.sleep_seconds,
                "replicas": {"current": int(current is not None), "requested": 1},
                "devMode": False,
            }
        )

    async def _set_hardware(self, request: web.Request) -> web.Response:
        space, body = self._find(request), await request.json()
        space.hardware = body["flavor"]
        space.sleep_seconds = body.get("sleepTimeSeconds", space.sleep_seconds)
        return self._start(space)

    async def _set_sleep_time(self, request: web.Request) -> web.Response:
        space = self._find(request)
        space.sleep_seconds = (await request.json())["seconds"]
        return self._shown(space)

    async def _pause(self, request: web.Request) -> web.Response:
        space = self._find(request)
        space.stage, space.booting = "PAUSED", []
        return self._shown(space)

    async def _restart(self, request: web.Request) -> web.Response:
        return self._start(self._find(request))

    def _start(self, space: Space) -> web.Response:
        space.restarts += 1
        space.booting = list(self.boot)
        space.stage = space.booting.pop(0)
        return self._shown(space)

    async def _list_secrets(self, request: web.Request) -> web.Response:
        names = self._find(request).secrets
        return web.json_response({name: {"key": name, "updatedAt": AT} for name in names})

    async def _add_secret(self, request: web.Request) -> web.Response:
        space, body = self._find(request), await request.json()
        space.secrets[body["key"]] = body["value"]
        return web.json_response({})

    async def _delete_secret(self, request: web.Request) -> web.Response:
        self._find(request).secrets.pop((await request.json())["key"], None)
        return web.json_response({})

    async def _list_variables(self, request: web.Request) -> web.Response:
        return self._variables(self._find(request))

    async def _add_variable(self, request: web.Request) -> web.Response:
        space, body = self._find(request), await request.json()
        space.variables[body["key"]] = body["value"]
        return self._variables(space)

    async def _delete_variable(self, request: web.Request) -> web.Response:
        space = self._find(request)
        space.variables.pop((await request.json())["key"], None)
        return self._variables(space)

    def _variables(self, space: Space) -> web.Response:
        pairs = space.variables.items()
        return web.json_response(
            {name: {"key": name, "value": value, "updatedAt": AT} for name, value in pairs}
        )

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        space = self._find(request)
        which = request.match_info["which"]
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        for line in space.run_log if which == "run" else space.build_log:
            event = json.dumps({"data": f"{line}\n", "timestamp": AT})
            await stream.write(f"data: {event}\n\n".encode())
        return stream


def hardware(unit: str) -> list[dict[str, Any]]:
    """Return the machines and their prices, per ``hour`` (Spaces) or ``minute`` (Jobs)."""
    machines = (
        ("cpu-basic", "CPU Basic", "2 vCPU", "16 GB", None, 0.01),
        ("t4-small", "Nvidia T4 - small", "4 vCPU", "15 GB", ("T4", "16 GB"), 0.40),
        ("t4-medium", "Nvidia T4 - medium", "8 vCPU", "30 GB", ("T4", "16 GB"), 0.60),
        ("a10g-large", "Nvidia A10G - large", "12 vCPU", "46 GB", ("A10G", "24 GB"), 1.50),
    )
    return [
        {
            "name": name,
            "prettyName": pretty,
            "cpu": cpu,
            "ram": ram,
            "ephemeralStorage": "50 GB",
            "accelerator": gpu
            and {
                "type": "gpu",
                "model": gpu[0],
                "quantity": "1",
                "vram": gpu[1],
                "manufacturer": "Nvidia",
            },
            "unitCostMicroUSD": round(usd * 1e6 / (60 if unit == "minute" else 1)),
            "unitCostUSD": usd / (60 if unit == "minute" else 1),
            "unitLabel": unit,
        }
        for name, pretty, cpu, ram, gpu, usd in machines
    ]
