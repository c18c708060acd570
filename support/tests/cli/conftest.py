"""``chef`` in this process: quick, and with everything it prints."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.workspace import Workspace

from agent_orchestrator.cli.main import main


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout; anything beside it is a failure."""
        return json.loads(self.out)


Chef = Callable[..., Done]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """Return a fresh installation that ``chef`` finds."""
    workspace = Workspace(tmp_path)
    for name in list(os.environ):
        if name.startswith(("CHEF_", "MODELOPS_", "HUGGINGFACE_", "OPENROUTER_", "LANGSMITH_")):
            monkeypatch.delenv(name)
    for name, value in workspace.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    yield workspace
    for record in (workspace.state / "jobs").glob("*/process.json"):
        try:
            os.kill(json.loads(record.read_text())["pid"], 9)
        except ProcessLookupError:
            continue


@pytest.fixture
def chef(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Chef:
    """Return what runs a command."""

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["chef", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Done(ended.value.code or 0, printed.out, printed.err)

    return run
