"""The documentation's commands, run as they stand there."""

import asyncio
import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.settings import own_python
from agent_orchestrator.stores.gateways import running_gateways

DOCS = Path(__file__).parents[1] / "docs"
MARKED = re.compile(r"<!-- runs in CI -->\n```bash\n(.*?)```", re.DOTALL)
PAGES = sorted(page for page in DOCS.rglob("*.md") if MARKED.search(page.read_text()))


def free_neighbours() -> int:
    """Return a port that is free and has a free one after it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            if port < 65535 and second.connect_ex(("127.0.0.1", port + 1)):
                return port


def commands(page: Path) -> str:
    """Return a page's marked blocks as one script."""
    return "set -euo pipefail\n" + "\n".join(MARKED.findall(page.read_text()))


@contextmanager
def serving(workspace: Workspace, port: int) -> Iterator[None]:
    """Run ``chef serve`` with two gateways."""
    command = (own_python(), "-m", "agent_orchestrator", "serve", "--gateways", "2")
    variables = workspace.variables | {
        "CHEF_GATEWAY_PORT": str(port),
        "CHEF_GATEWAY_TOKEN": "token-of-the-docs",
    }
    with (workspace.folder / "serve.log").open("wb") as log:
        process = subprocess.Popen((*command, "--no-local-models"), env=variables, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


@asynccontextmanager
async def installation(folder: Path) -> AsyncIterator[tuple[Workspace, int]]:
    """Serve code_review from two gateways."""
    async with OpenAIServer(Reply("looks good")) as models:
        workspace, port = Workspace(folder), free_neighbours()
        workspace.serve_elsewhere(code_review=models.url)
        with serving(workspace, port):
            gateways = workspace.settings().gateways_dir
            await eventually(lambda: len(running_gateways(gateways)) == 2)
            yield workspace, port


def test_there_are_commands_to_run():
    """The marks are found."""
    assert "SERVING_GUIDE.md" in {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
async def test_the_commands_of_a_page_work(page: Path, tmp_path: Path):
    """One shell runs them in their order, and stops at the first that fails."""
    async with installation(tmp_path) as (workspace, port):
        script = commands(page).replace(":8130", f":{port}").replace(":8131", f":{port + 1}")
        path = f"{Path(own_python()).parent}{os.pathsep}{workspace.variables['PATH']}"
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", script],
            env=workspace.variables | {"PATH": path},
            capture_output=True,
            check=False,
            text=True,
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stdout + done.stderr
