"""The workspace as tools of agents: read, search and edit files, run commands, show the diff."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from itertools import islice
from typing import Final

import anyio.to_thread
from langchain_core.tools import BaseTool, StructuredTool

from agent_orchestrator.agents._shared.commands import Commands
from agent_orchestrator.agents._shared.workspace import Workspace
from agent_orchestrator.errors import InputError

_LINES: Final = 400
_FILES: Final = 300
_MATCHES: Final = 100
_WIDTH: Final = 300

BUILT_IN: Final = (
    *("list_files", "read_file", "search_files", "edit_file", "write_file"),
    *("run_command", "run_tests", "run_linter", "git_diff"),
)
"""The names that tools.yaml may use."""


def workspace_tools(
    workspace: Workspace, commands: Commands, names: Collection[str] = BUILT_IN
) -> list[BaseTool]:
    """Return the built-in tools of these names. Raises InputError for a name that is none."""
    unknown = sorted(set(names) - set(BUILT_IN))
    if unknown:
        raise InputError(
            f"There is no built-in tool {unknown[0]!r}.",
            remedy=f"There are: {', '.join(BUILT_IN)}.",
        )
    own = _Tools(workspace, commands)
    return [
        StructuredTool.from_function(coroutine=getattr(own, name), name=name)
        for name in BUILT_IN
        if name in names
    ]


class _Tools:
    """One method a tool: its name, its arguments and its docstring are what the model sees."""

    def __init__(self, workspace: Workspace, commands: Commands) -> None:
        self._workspace = workspace
        self._commands = commands

    async def list_files(self, pattern: str = "*") -> str:
        """List files of the workspace whose path or name matches a pattern, e.g. *.py or src/*."""
        found = await _in_thread(lambda: list(islice(self._workspace.files(pattern), _FILES + 1)))
        return _joined(found, _FILES, "No file matches.")

    async def read_file(self, path: str, first_line: int = 1, lines: int = _LINES) -> str:
        """Read a text file of the workspace, with line numbers; long files in parts."""
        text = (await _in_thread(lambda: self._workspace.read(path))).splitlines()
        first = max(1, first_line)
        shown = text[first - 1 : first - 1 + max(1, lines)]
        numbered = [f"{number:5} {line}" for number, line in enumerate(shown, first)]
        rest = len(text) - (first - 1 + len(shown))
        return "\n".join([*numbered, *([f"({rest} more lines)"] if rest > 0 else [])]) or "(empty)"

    async def search_files(self, pattern: str, within: str = "*") -> str:
        """Find the lines that match a regular expression, in files whose path matches a pattern."""
        found = await _in_thread(
            lambda: list(islice(self._workspace.search(pattern, within), _MATCHES + 1))
        )
        lines = [f"{match.path}:{match.line}: {match.text.strip()[:_WIDTH]}" for match in found]
        return _joined(lines, _MATCHES, "Nothing matches.")

    async def edit_file(self, path: str, old: str, new: str) -> str:
        """Replace a passage of a file. It must occur exactly once, without line numbers."""
        await _in_thread(lambda: self._workspace.edit(path, old, new))
        return f"Changed {path}."

    async def write_file(self, path: str, text: str) -> str:
        """Write a whole file, new or in place of the old one."""
        await _in_thread(lambda: self._workspace.write(path, text))
        return f"Wrote {path}."

    async def run_command(self, command: str) -> str:
        """Run a command in the workspace, in a sandbox without network; no shell syntax."""
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise InputError(
                f"{command!r} is no command: {error}.", remedy="Quote it as a shell does."
            ) from None
        if not words:
            raise InputError("The command is empty.", remedy="Name a program.")
        done = await _in_thread(lambda: self._commands.run(words))
        how = "time was up" if done.status is None else f"exit status {done.status}"
        return f"({how})\n{done.output}".strip()

    async def run_tests(self, only: list[str] | None = None) -> str:
        """Run the tests of the workspace, or only those named (paths, test ids)."""
        return str(await _in_thread(lambda: self._commands.tests(only or ())))

    async def run_linter(self) -> str:
        """Run the linter on the workspace."""
        return str(await _in_thread(self._commands.linter))

    async def git_diff(self) -> str:
        """Show what was changed in the workspace since the last commit, new files included."""
        return await _in_thread(self._commands.diff) or "Nothing was changed."


_in_thread = anyio.to_thread.run_sync


def _joined(lines: list[str], most: int, none: str) -> str:
    if not lines:
        return none
    more = ["(there are more: narrow it down)"] if len(lines) > most else []
    return "\n".join([*lines[:most], *more])
