"""The web page: what a browser is given, and what it is told to refuse."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from tests.doubles.api_client import Api, opened_api, usual_app
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.api import page
from agent_orchestrator.api.app import create_app

URL = "http://127.0.0.1"
SCRIPT = "globalThis.built = true;" * 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for a page, beside a secret."""
    place = tmp_path_factory.mktemp("built")
    (place / "secret.js").write_text("secret", encoding="utf-8")
    (place / "page").mkdir()
    return place / "page"


@pytest.fixture(scope="module")
def app(folder: Path) -> FastAPI:
    """Return the application with that page: making it takes longer than any test of it."""
    return create_app(None, page_files=folder)


@pytest.fixture
def files(folder: Path) -> Path:
    """Return the folder with a page that is built."""
    (folder / "views.js").write_text(SCRIPT, encoding="utf-8")
    (folder / "views.css").write_text("body {}", encoding="utf-8")
    (folder / "views.js.LEGAL.txt").write_text("licences", encoding="utf-8")
    return folder


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """Return a browser, as far as it asks."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL)


@pytest.fixture
async def browser(app: FastAPI, files: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Return a browser, and no token."""
    async with client_of(app) as client:
        yield client


def addresses(text: str) -> list[str]:
    """Return where the page has its files from."""
    return re.findall(r'(?:src|href)="(/[^"]*)"', text)


async def test_the_page_runs_its_own_script_and_nothing_else(browser: httpx.AsyncClient):
    """A nonce of its own each time; nothing from elsewhere, no frame, no form, never kept."""
    first, second = await browser.get("/"), await browser.get("/")
    assert first.status_code == 200
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    assert first.headers["cache-control"] == "no-store"
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.headers["x-frame-options"] == "DENY"
    policy = dict(
        part.split(" ", 1) for part in first.headers["content-security-policy"].split("; ")
    )
    [nonce] = re.findall(r'<script type="module" nonce="([^"]+)"', first.text)
    assert policy == {
        "default-src": "'none'",
        "script-src": f"'nonce-{nonce}'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert nonce not in second.text
    assert first.text.count("<script") == 1


async def test_a_file_is_kept_for_ever_under_an_address_that_changes_with_it(
    browser: httpx.AsyncClient, files: Path
):
    """The old address leads nowhere once the file is another."""
    style, script = addresses((await browser.get("/")).text)
    for address, kind in ((style, "text/css"), (script, "text/javascript")):
        answer = await browser.get(address)
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        kept = await browser.get(address, headers={"If-None-Match": answer.headers["etag"]})
        assert (kept.status_code, kept.content) == (304, b"")
    (files / "views.js").write_text("globalThis.rebuilt = true;", encoding="utf-8")
    [_, rebuilt] = addresses((await browser.get("/")).text)
    assert rebuilt != script
    assert (await browser.get(rebuilt)).text == "globalThis.rebuilt = true;"
    assert (await browser.get(script)).status_code == 404


async def test_a_file_is_compressed_for_who_understands_it(browser: httpx.AsyncClient):
    """And plain for others."""
    script = addresses((await browser.get("/")).text)[1]
    async with browser.stream("GET", script, headers={"Accept-Encoding": "gzip"}) as answer:
        sent = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert len(sent) < len(SCRIPT)
    assert gzip.decompress(sent).decode() == SCRIPT
    plain = await browser.get(script, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == SCRIPT


@pytest.mark.parametrize(
    "name",
    [
        "secret.js",
        "..%2fsecret.js",
        "%2e%2e/secret.js",
        "....//secret.js",
        "views.js.LEGAL.txt",
        "views.js/",
        "",
        "%00views.js",
    ],
)
async def test_no_other_file_can_be_had(browser: httpx.AsyncClient, name: str):
    """Neither beside the folder nor in it: only what the page names."""
    script = addresses((await browser.get("/")).text)[1]
    answer = await browser.get(script.removesuffix("views.js") + name)
    assert answer.status_code in {307, 404}
    assert "secret" not in answer.text


async def test_a_page_that_is_not_built_says_how_to_build_it(tmp_path: Path):
    """As soon as it is built, it is there."""
    async with client_of(create_app(None, page_files=tmp_path)) as browser:
        answer = await browser.get("/")
        assert answer.status_code == 503
        assert "make page" in answer.text
        assert "script-src" not in answer.headers["content-security-policy"]
        for name in ("views.js", "views.css"):
            (tmp_path / name).write_text("", encoding="utf-8")
        assert (await browser.get("/")).status_code == 200


def test_the_document_tells_of_the_api_alone():
    """The page is no part of it, and nothing that is answers with HTML."""
    document = usual_app().openapi()
    assert not [path for path in document["paths"] if path == "/" or path.startswith("/page")]
    kinds = {
        kind
        for path in document["paths"].values()
        for operation in path.values()
        for answer in operation["responses"].values()
        for kind in answer.get("content", {})
    }
    assert "text/html" not in kinds


async def test_what_people_write_is_never_served_as_a_page(api: Api):
    """A name that looks like HTML comes as JSON, which no browser may take for anything else."""
    api.services.embedded.registry.add_model_version(
        "cicd", model_id="acme/one", notes="<script>alert(1)</script>"
    )
    accept = {"Accept": "text/html"}
    for path in ("/registry/cicd", "/jobs/<script>", "/<script>"):
        answer = await api["viewer"].get(path, headers=accept)
        assert answer.headers["content-type"].split(";")[0] in {
            "application/json",
            "application/problem+json",
        }
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_without_tokens_the_page_of_the_server_itself_may_act(workspace: Workspace):
    """A page of another port or name may not, although it runs in the same browser."""
    anybody = Caller("ada", "http", "admin")
    async with opened_api(workspace, anybody=anybody, hosts=["127.0.0.1"]) as api:
        client = api["viewer"]
        del client.headers["Authorization"]
        own = str(client.base_url).rstrip("/")

        async def asked_by(origin: str) -> int:
            answer = await client.post("/modelops/list_costs", json={}, headers={"Origin": origin})
            return answer.status_code

        assert await asked_by(own) == 200
        for other in (f"{own}:9", "https://127.0.0.1", "http://evil.test", "null"):
            assert await asked_by(other) == 403


def test_the_folder_of_the_page_is_in_the_package():
    """Where ``make page`` puts it, and the wheel takes it from."""
    assert page.FILES.parent.name == "api"
