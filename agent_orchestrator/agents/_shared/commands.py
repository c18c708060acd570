"""Commands in the workspace: the tests, the linter, the diff, and what a model wants to run.

All of them run in the sandbox, git too: what it runs on a diff stands in the repository, which a
model's commands may have written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent_orchestrator.agents._shared.workspace import Workspace
from agent_orchestrator.errors import ConfigurationError, FailedError, InputError
from agent_orchestrator.stores.defaults import load_document
from agent_orchestrator.trainer.sandbox import Limits, NoIsolationError, Run, run_command

Command = Annotated[tuple[str, ...], Field(min_length=1)]


class WorkspaceRules(BaseModel):
    """config/agents/workspace.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tests: Command = ("python", "-m", "pytest", "-q")
    """Exit status 0 means that they passed."""
    linter: Command = ("ruff", "check", ".")
    send_backs: Annotated[int, Field(ge=0)] = 3
    """How often a review may send a change back."""
    seconds: Annotated[float, Field(gt=0)] = 120
    """Wall-clock and processor time of a command."""
    memory_mb: Annotated[int, Field(ge=64)] = 4096
    """Address space of a command."""
    file_mb: Annotated[int, Field(ge=1)] = 200
    """Size of any one file that it writes."""
    readable: tuple[Path, ...] = ()
    """Further places that commands may read."""
    environment: Mapping[str, str] = {}
    """Variables of commands."""
    without_isolation: bool = False
    """Whether they may run where the kernel offers no isolation; only their limits hold then."""


def load_rules(config_dir: Path) -> WorkspaceRules:
    """Read workspace.yaml; SettingsError names the file and the key."""
    return load_document(config_dir / "agents" / "workspace.yaml", WorkspaceRules)


CheckEnding = Literal["passed", "failed", "not_run"]


@dataclass(frozen=True, slots=True)
class Check:
    """What came of the tests or the linter."""

    name: str
    ending: CheckEnding
    """not_run: its program is not installed, or its time was up: it says nothing on the change."""
    output: str

    def __str__(self) -> str:
        return f"{self.name}: {self.ending}\n{self.output}".strip()


_NOT_FOUND: Final = (126, 127)
_NO_TESTS: Final = 5
"""pytest's exit status when there was none to run."""
_ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_OPTIONAL_LOCKS": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_ADDOPTS": "-p no:cacheprovider",
    "RUFF_NO_CACHE": "true",
    "NO_COLOR": "1",
}
_OUTPUT_BYTES: Final = 12_000
_DIFF_BYTES: Final = 200_000
#: New files are in it, and the repository's own index stays as it is.
_DIFF: Final = """
set -e
cp "$(git rev-parse --absolute-git-dir)/index" "$TMPDIR/index" 2>/dev/null || true
export GIT_INDEX_FILE="$TMPDIR/index"
git add --all
exec git diff --cached --no-ext-diff --no-textconv HEAD
"""


class Commands:
    """Runs commands in a workspace. Blocking; every method raises ConfigurationError where the
    kernel offers no isolation and nobody said to do without.
    """  # noqa: D205 - one sentence

    def __init__(self, workspace: Workspace, rules: WorkspaceRules) -> None:
        self._root = workspace.root
        self._rules = rules

    def run(self, command: Sequence[str], *, output_bytes: int = _OUTPUT_BYTES) -> Run:
        """Run a command to its end or its limits."""
        rules = self._rules
        limits = Limits(
            seconds=rules.seconds,
            memory_mb=rules.memory_mb,
            file_mb=rules.file_mb,
            without_isolation=rules.without_isolation,
            output_bytes=output_bytes,
        )
        try:
            return run_command(
                command,
                self._root,
                limits,
                readable=[str(place) for place in rules.readable],
                environment={**_ENVIRONMENT, **rules.environment},
            )
        except NoIsolationError as error:
            raise ConfigurationError(
                f"Commands of agents cannot be run here: {error}",
                remedy="Use a kernel with user namespaces and Landlock, or set "
                "without_isolation in config/agents/workspace.yaml.",
            ) from error

    def tests(self, only: Sequence[str] = ()) -> Check:
        """Run the tests, or only those that are named. Raises InputError for an option."""
        options = [name for name in only if name.startswith("-")]
        if options:
            raise InputError(
                f"{options[0]!r} names no test.", remedy="Name files, folders or tests, no options."
            )
        return _check("tests", self.run([*self._rules.tests, *only]), says_nothing=_NO_TESTS)

    def linter(self) -> Check:
        """Run the linter."""
        return _check("linter", self.run(self._rules.linter))

    def diff(self) -> str:
        """Return what was changed since the last commit, new files included.

        Raises FailedError where this is no git repository with a commit.
        """
        done = self.run(["sh", "-c", _DIFF], output_bytes=_DIFF_BYTES)
        if done.ending != "passed":
            raise FailedError(
                f"git cannot show the changes: {done.output.strip()[-500:]}",
                remedy="Look whether the workspace is a git repository that is whole.",
            )
        return done.output


def _check(name: str, run: Run, says_nothing: int | None = None) -> Check:
    if run.ending == "timeout" or run.status in {*_NOT_FOUND, says_nothing}:
        reason = "Its time was up.\n" if run.ending == "timeout" else ""
        return Check(name, "not_run", reason + run.output)
    return Check(name, "passed" if run.ending == "passed" else "failed", run.output)
