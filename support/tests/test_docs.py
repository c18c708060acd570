"""The documentation says what is there: links lead somewhere, commands exist, examples run.

Blocks of shell commands after the line ``<!-- runs in CI -->`` are run, all of a page in their
order, beside two real gateways; of the others, every ``chef`` command is parsed.
"""

import asyncio
import os
import re
import shlex
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import click
import pytest
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.ports import free_neighbours
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.cli import main as tree
from agent_orchestrator.settings import own_python
from agent_orchestrator.stores.gateways import running_gateways

ROOT = Path(__file__).parents[2]
SKILLS = sorted(ROOT.glob("support/skills/**/*.md"))
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("support/docs/**/*.md"), *SKILLS])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"```(?:bash|sh|shell)\n(.*?)```", re.DOTALL)
_MARKED = re.compile(r"<!-- runs in CI -->\n```bash\n(.*?)```", re.DOTALL)
#: Those of skills are run by ``test_skills``.
RUN = [p for p in PAGES if p not in SKILLS and _MARKED.search(p.read_text(encoding="utf-8"))]


# -- what is said ---------------------------------------------------------------------------------


def named(page: Path) -> str:
    """Return a page's name for people."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[str]:
    """Yield a page's shell blocks."""
    for text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        yield text.replace("\\\n", " ")


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each ``chef`` command, without what the shell does with its output."""
    for text in blocks(page):
        for line in text.splitlines():
            if line.startswith("chef "):
                words = shlex.split(line, comments=True)
                end = next((i for i, word in enumerate(words) if word in "|>&&;"), len(words))
                yield words[1:end]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path):
    """Files, pictures and headings of this repository; other sites are not asked."""
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{named(page)} links {target}"
        if anchor:
            assert anchor in anchors(file), f"{named(page)} links {target}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_is_one_that_chef_has(page: Path):
    """With options that it has and values that they take."""
    for words in commands(page):
        try:
            parse(tree.cli, words)
        except click.exceptions.Exit:  # --help
            continue
        except click.UsageError as error:
            pytest.fail(f"{named(page)}: chef {shlex.join(words)}: {error.format_message()}")


def parse(command: click.Command, words: list[str]) -> None:
    """Parse a command and its options without running it. Raises click.UsageError."""
    context = click.Context(command)
    if isinstance(command, click.Group) and words and not words[0].startswith("-"):
        _, found, rest = command.resolve_command(context, words)
        assert found is not None
        parse(found, rest)
    else:
        command.make_context(command.name, list(words))


# -- what is run ----------------------------------------------------------------------------------


def script_of(page: Path) -> str:
    """Return a page's marked blocks as one script."""
    marked = _MARKED.findall(page.read_text(encoding="utf-8"))
    return "set -euo pipefail\n" + "\n".join(marked)


@contextmanager
def serving(workspace: Workspace, port: int) -> Iterator[None]:
    """Run ``chef serve`` with two gateways."""
    command = (own_python(), "-m", "agent_orchestrator", "serve", "--gateways", "2", "--no-api")
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
    assert {"SERVING_GUIDE.md", "ROLLOUTS.md"} <= {page.name for page in RUN}


@pytest.mark.parametrize("page", RUN, ids=named)
async def test_the_commands_of_a_page_work(page: Path, tmp_path: Path):
    """One shell runs them in their order, and stops at the first that fails."""
    async with installation(tmp_path) as (workspace, port):
        script = script_of(page).replace(":8130", f":{port}").replace(":8132", f":{port + 1}")
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


def test_the_graphs_are_drawn_as_they_are():
    """`python support/scripts/graph_diagrams.py` draws them again."""
    from graph_diagrams import PAGE, drawn

    page = PAGE.read_text(encoding="utf-8")
    assert drawn(page) == page
