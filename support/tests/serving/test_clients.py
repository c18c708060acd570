"""Who is let in, to what, and under which name."""

from pathlib import Path

import pytest
from aiohttp import ClientSession
from tests.doubles.openai_server import OpenAIServer
from tests.serving.harness import STABLE, TOKEN, ask, gateway, routing_table

from agent_orchestrator.stores.gateway_keys import GatewayKeys
from agent_orchestrator.stores.key_files import KeySource


async def test_a_key_opens_what_it_is_for(tmp_path: Path):
    """A scraper's key cannot ask models, a client's cannot read metrics, the token does both."""
    file = GatewayKeys(tmp_path / "keys.json")
    chat, scraper = file.add("ci", "chat", 0.0), file.add("prometheus", "metrics", 0.0)
    async with (
        OpenAIServer() as server,
        gateway(routing_table({STABLE: server.url}), keys=KeySource(file)) as running,
        ClientSession(running.url) as http,
    ):

        async def statuses(key: str) -> tuple[int, int]:
            headers = {"Authorization": f"Bearer {key}"}
            asked = await http.post("/v1/chat/completions", json=ask(), headers=headers)
            return asked.status, (await http.get("/metrics", headers=headers)).status

        assert await statuses(chat) == (200, 403)
        assert await statuses(scraper) == (403, 200)
        assert await statuses(TOKEN) == (200, 200)
        assert await statuses("chef_guess") == (401, 401)
        text = await (await running.http.get("/metrics")).text()
    assert 'chef_gateway_requests_total{client="ci",status="2xx"} 1.0' in text
    assert 'chef_gateway_requests_total{client="unknown",status="4xx"} 2.0' in text
    assert chat not in text


async def test_a_key_can_be_all_there_is(tmp_path: Path):
    """Without a token, who has no key stays outside; with a revoked one too."""
    file = GatewayKeys(tmp_path / "keys.json")
    key = file.add("ci", "chat", 0.0)
    source = KeySource(file)
    async with (
        OpenAIServer() as server,
        gateway(routing_table({STABLE: server.url}), keys=source, token=None) as running,
        ClientSession(running.url) as http,
    ):
        headers = {"Authorization": f"Bearer {key}"}
        assert (await http.get("/v1/models")).status == 401
        assert (await http.get("/v1/models", headers=headers)).status == 200
        file.revoke("ci")
        source.reload(None)
        assert (await http.get("/v1/models", headers=headers)).status == 401


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_probes_need_no_key(path: str):
    """Load balancers have none."""
    async with (
        OpenAIServer() as server,
        gateway(routing_table({STABLE: server.url})) as running,
        ClientSession(running.url) as http,
    ):
        assert (await http.get(path)).status == 200
