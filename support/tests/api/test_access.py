"""Who is let in, how often, and what browsers may do."""

import pytest
from tests.doubles.api_client import Api, opened_api
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.api.limits import Rates
from agent_orchestrator.stores.key_files import KeySource

COSTS = "/modelops/list_costs"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer \xff"},
    ],
)
async def test_nobody_gets_in_without_a_token(api: Api, headers: dict[str, str]):
    """401 says which kind of token is wanted."""
    given = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    client = api["viewer"]
    del client.headers["Authorization"]
    answer = await client.post(COSTS, json={}, headers=given)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["type"] == "urn:code-chef:problem:unauthorized"


async def test_no_path_but_health_and_the_document_is_open(api: Api):
    """A route that is added later is closed too."""
    client = api["viewer"]
    del client.headers["Authorization"]
    for path, methods in api.app.openapi()["paths"].items():
        if path in {"/health", "/ready"}:
            continue
        for method in methods:
            answer = await client.request(method, path.replace("{", "").replace("}", ""), json={})
            assert answer.status_code == 401, (method, path)


async def test_a_token_counts_until_it_is_revoked(api: Api):
    """The file is followed while the server runs."""
    source = api.services.access.tokens
    assert isinstance(source, KeySource)
    assert (await api["viewer"].post(COSTS, json={})).status_code == 200
    api.tokens.revoke("viewer")
    source.reload(object())
    assert (await api["viewer"].post(COSTS, json={})).status_code == 401


async def test_a_caller_who_asks_too_often_waits(workspace: Workspace):
    """By the caller: the others are served; after a while so are they."""
    now = [0.0]
    async with opened_api(workspace, rates=Rates(0.5, 2, lambda: now[0])) as api:
        codes = [(await api["viewer"].post(COSTS, json={})).status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        refused = await api["viewer"].post(COSTS, json={})
        assert refused.headers["Retry-After"] == "2"
        assert (await api["operator"].post(COSTS, json={})).status_code == 200
        now[0] = 2.0
        assert (await api["viewer"].post(COSTS, json={})).status_code == 200


async def test_without_tokens_only_this_machines_names_are_answered(workspace: Workspace):
    """A web page that has its own name point here asks in vain."""
    me = Caller("me", "http", "admin")
    async with opened_api(workspace, anybody=me, hosts=["127.0.0.1", "localhost"]) as api:
        client = api["viewer"]
        del client.headers["Authorization"]
        assert (await client.post(COSTS, json={})).status_code == 200
        evil = {"Host": "evil.example"}
        assert (await client.post(COSTS, json={}, headers=evil)).status_code == 400
        page = {"Origin": "https://evil.example"}
        assert (await client.post(COSTS, json={}, headers=page)).status_code == 403
        resume = "/approvals/ap_000000000000/resume"  # no body: a browser asks nobody first
        assert (await client.post(resume, headers=page)).status_code == 403
        given = {"Authorization": "Bearer of-somebody-else"}
        assert (await client.post(COSTS, json={}, headers=given)).status_code == 401


async def test_other_pages_may_read_nothing_unless_they_are_named(workspace: Workspace):
    """CORS is closed; an origin that is configured is let in alone."""
    preflight = {
        "Origin": "https://board.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    async with opened_api(workspace) as api:
        answer = await api["viewer"].options(COSTS, headers=preflight)
        assert "access-control-allow-origin" not in answer.headers
    async with opened_api(workspace, origins=["https://board.example"]) as api:
        answer = await api["viewer"].options(COSTS, headers=preflight)
        assert answer.headers["access-control-allow-origin"] == "https://board.example"
        other = preflight | {"Origin": "https://evil.example"}
        answer = await api["viewer"].options(COSTS, headers=other)
        assert "access-control-allow-origin" not in answer.headers


async def test_answers_tell_browsers_to_keep_nothing_and_run_nothing(api: Api):
    """Answers and errors alike."""
    for path in ("/health", "/nowhere"):
        headers = (await api["viewer"].get(path)).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")


async def test_a_broken_models_yaml_makes_it_not_ready(api: Api):
    """Health says that the process lives; readiness names the file."""
    client = api["viewer"]
    assert (await client.get("/ready")).json() == {"status": "ready", "reasons": []}
    api.workspace.models_yaml.write_text("openrouter: [")
    answer = await client.get("/ready")
    assert answer.status_code == 503
    assert "models.yaml" in answer.json()["reasons"][0]
    assert (await client.get("/health")).json()["status"] == "ok"
