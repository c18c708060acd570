"""Asking the Hub for a model's size, by its own client against a loopback double."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

ASK = """
import json, sys
from agent_orchestrator.agents.infrastructure.modelops.hub import parameters
from agent_orchestrator.errors import ChefError
for model in sys.argv[1:]:
    try:
        print(json.dumps(parameters(model, "hf_secret")))
    except ChefError as error:
        print(json.dumps([type(error).__name__, error.message, error.remedy]))
"""


@dataclass
class Hub:
    """``GET /api/models/{id}?expand=safetensors``."""

    url: str = ""
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)

    async def model(self, request: web.Request) -> web.Response:
        """Answer by the model's name."""
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        expand = request.query.getall("expand", [])
        self.seen.append((name, ",".join(expand), request.headers.get("authorization")))
        if name == "acme/absent":
            headers = {"X-Error-Code": "RepoNotFound"}
            return web.json_response({"error": "Repository not found"}, status=404, headers=headers)
        if name == "acme/broken":
            return web.json_response({"error": "internal"}, status=500)
        if name == "acme/proxy":
            return web.Response(text="<html>Please log in</html>", content_type="text/html")
        answer: dict[str, Any] = {"_id": "1", "id": name}
        if name == "acme/model":
            answer["safetensors"] = {"parameters": {"BF16": 7_615_616_512}, "total": 7_615_616_512}
        return web.json_response(answer)


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    """Return a running double."""
    double = Hub()
    app = web.Application()
    app.router.add_get("/api/models/{owner}/{name}", double.model)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    double.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield double
    await runner.cleanup()


async def ask(home: Path, *models: str, **variables: str) -> list[Any]:
    """Ask in a process of its own: the client reads where the Hub is when it is imported."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ASK, *models),
        stdout=asyncio.subprocess.PIPE,
        env={**kept, "HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **variables},
    )
    output, _ = await process.communicate()
    return [json.loads(line) for line in output.splitlines()]


async def test_the_size_comes_from_the_safetensors_metadata(hub: Hub, tmp_path: Path):
    """One request with our token; what the Hub does not know is bad input, a fault is not."""
    size, absent, plain, broken, proxy, name = await ask(
        tmp_path,
        *("acme/model", "acme/absent", "acme/no-weights", "acme/broken", "acme/proxy", "a--b/c"),
        HF_ENDPOINT=hub.url,
    )
    assert size == 7_615_616_512
    assert hub.seen[0] == ("acme/model", "safetensors", "Bearer hf_secret")
    assert absent[:2] == ["InputError", "The Hub has no model 'acme/absent' that you may read."]
    assert plain[:2] == ["InputError", "acme/no-weights has no safetensors weights."]
    assert name[0] == "InputError"
    for fault in (broken, proxy):
        assert fault[0] == "UnavailableError"
        assert "the Hub does not answer" in fault[1]
        assert "training_defaults.yaml" in fault[2]


async def test_a_hub_that_cannot_be_reached_is_unavailable(tmp_path: Path):
    """Nobody listens, or the user has said to stay offline."""
    nobody = await ask(tmp_path, "acme/model", HF_ENDPOINT="http://127.0.0.1:9")
    offline = await ask(tmp_path, "acme/model", HF_HUB_OFFLINE="1")
    assert [answer[0][0] for answer in (nobody, offline)] == ["UnavailableError"] * 2
    assert "a local model, a preset" in nobody[0][2]
