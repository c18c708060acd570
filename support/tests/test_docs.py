"""The documentation says what is there: links lead somewhere, commands exist, examples run.

A block of shell commands after the line ``<!-- run -->`` is run, in a fresh installation without
network; of the others, every ``chef`` command is parsed.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.doubles.workspace import Workspace

from agent_orchestrator.cli import main as tree

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("support/docs/**/*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"(<!-- run -->\n)?```(?:bash|sh|shell)\n(.*?)```", re.DOTALL)


def named(page: Path) -> str:
    """Return a page's name for people."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[tuple[bool, str]]:
    """Yield a page's shell blocks, and whether they are to be run."""
    for marked, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        yield bool(marked), text.replace("\\\n", " ")


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each ``chef`` command, without what the shell does with its output."""
    for _, text in blocks(page):
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["chef"]:
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
    if isinstance(command, click.Group) and words:
        _, found, rest = command.resolve_command(context, words)
        assert found is not None
        parse(found, rest)
    else:
        command.make_context(command.name, list(words))


def examples() -> list[tuple[Path, str]]:
    """Return the blocks that are to be run."""
    return [(page, text) for page in PAGES for marked, text in blocks(page) if marked]


@pytest.mark.parametrize(
    ("page", "text"),
    examples(),
    ids=[f"{named(page)}-{i}" for i, (page, _) in enumerate(examples())],
)
def test_examples_run(page: Path, text: str, tmp_path: Path):
    """With exit code 0 and nothing on stderr."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        env={**Workspace(tmp_path).variables, "PATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
