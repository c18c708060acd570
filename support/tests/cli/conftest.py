"""``chef`` in this process: quick, and with everything it prints."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.doubles import workshop
from tests.doubles.space import TOKEN, RunningSpace, running_space
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
SpaceFor = Callable[..., RunningSpace]


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


@pytest.fixture
def space_for_chef(
    workspace: Workspace,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[SpaceFor]:
    """Return what runs the Space's app with real workers and lets ``chef`` train there.

    It has the base model ``local/tiny-code``; ``variables`` are added to its environment, and
    what else is given is a field of ``RunningSpace``.
    """
    base = workshop.tiny_base(tmp_path_factory.getbasetemp().parent)
    with ExitStack() as stack:

        def run(variables: Mapping[str, str] | None = None, **changes: Any) -> RunningSpace:
            offline = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
            settings = {"variables": {**offline, **(variables or {})}, **changes}
            python = workshop.trainer_python()
            running = stack.enter_context(running_space(tmp_path / "space", python, **settings))
            shutil.copytree(base, running.artifacts / "local" / "tiny-code")
            monkeypatch.setenv("MODELOPS_SPACE_URL", running.url)
            monkeypatch.setenv("MODELOPS_SPACE_TOKEN", TOKEN)
            monkeypatch.setenv("CHEF_BACKEND", "hf_space")
            return running

        yield run
