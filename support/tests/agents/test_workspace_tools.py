"""Commands in the sandbox, and the workspace as tools."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.agents.samples import MENDED, RULES, sample_repository

from agent_orchestrator.agents._shared.commands import Commands, WorkspaceRules, load_rules
from agent_orchestrator.agents._shared.profile import AGENTS, load_profile
from agent_orchestrator.agents._shared.workspace import Workspace
from agent_orchestrator.agents._shared.workspace_tools import BUILT_IN, workspace_tools
from agent_orchestrator.errors import FailedError, InputError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return the sample repository."""
    return Workspace(sample_repository(tmp_path / "sample"))


def commands(workspace: Workspace, **changes: object) -> Commands:
    """Return its commands."""
    return Commands(workspace, RULES.model_copy(update=changes))


async def call(workspace: Workspace, name: str, /, **arguments: object) -> str:
    """Call one tool."""
    [tool] = workspace_tools(workspace, commands(workspace), [name])
    return str(await tool.ainvoke(arguments))


def test_tests_linter_and_diff_tell_what_a_change_does(workspace: Workspace):
    """Before it one test fails; after it all pass, and the diff shows it with new files."""
    checks = commands(workspace)
    before = checks.tests()
    assert before.ending == "failed"
    assert "test_mean_of_nothing" in before.output
    assert checks.tests(["test_stats.py::test_mean"]).ending == "passed"
    assert checks.diff() == ""
    workspace.write("stats.py", MENDED)
    workspace.write("notes.txt", "new\n")
    assert (checks.tests().ending, checks.linter().ending) == ("passed", "passed")
    diff = checks.diff()
    assert '+        raise ValueError("mean of nothing")' in diff
    assert "+++ b/notes.txt" in diff
    workspace.write("stats.py", f"import os\n{MENDED}")
    assert checks.linter().ending == "failed"
    assert sorted(workspace.files()) == [
        "notes.txt",
        "pyproject.toml",
        "stats.py",
        "test_stats.py",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tests": ("no-such-program",)}, "no-such-program"),
        ({"tests": ("sleep", "60"), "seconds": 0.5}, "time was up"),
        ({"tests": ("python", "-m", "pytest", "-q", "-k", "absent")}, "deselected"),
    ],
)
def test_a_check_that_did_not_run_says_nothing_on_the_change(
    workspace: Workspace, changes: dict[str, object], said: str
):
    """A missing program, a time-out or no test at all is neither passed nor failed."""
    check = commands(workspace, **changes).tests()
    assert check.ending == "not_run"
    assert said in check.output


def test_a_command_reaches_nothing_but_the_workspace(workspace: Workspace, tmp_path: Path):
    """No file beside it, no network, no secret of the environment; it may write inside."""
    (tmp_path / "secret").write_text("hush")
    script = (
        f"cat {tmp_path}/secret; touch {tmp_path}/evil; env; touch made; "
        "python -c \"import socket; socket.create_connection(('127.0.0.1', 1))\""
    )
    done = commands(workspace).run(["sh", "-c", script])
    assert "hush" not in done.output
    assert "Network is unreachable" in done.output
    assert {"evil"}.isdisjoint(path.name for path in tmp_path.iterdir())
    assert (workspace.root / "made").exists()
    variables = [line for line in done.output.splitlines() if "TOKEN" in line or "KEY" in line]
    assert variables == []


def test_what_a_repository_tells_git_to_run_reaches_nothing_either(
    workspace: Workspace, tmp_path: Path
):
    """A command may write git's configuration; the diff runs it in the sandbox only."""
    checks = commands(workspace)
    evil = f"touch {tmp_path}/evil; touch {workspace.root}/ran"
    checks.run(["git", "config", "core.fsmonitor", f"sh -c '{evil}' #"])
    workspace.write("stats.py", MENDED)
    assert "ValueError" in checks.diff()
    assert not (tmp_path / "evil").exists()


def test_where_there_is_no_repository_there_is_no_diff(tmp_path: Path):
    """Git's own reason is in the error."""
    (tmp_path / "plain").mkdir()
    with pytest.raises(FailedError, match="not a git repository"):
        commands(Workspace(tmp_path / "plain")).diff()


async def test_the_tools_show_files_as_a_model_needs_them(workspace: Workspace):
    """Lines have numbers, long answers are cut and say so, and a command's status is told."""
    workspace.write("long.txt", "".join(f"{n}\n" for n in range(1000)))
    assert await call(workspace, "read_file", path="long.txt", first_line=3, lines=2) == (
        "    3 2\n    4 3\n(996 more lines)"
    )
    assert "more: narrow" in await call(workspace, "search_files", pattern="1")
    assert (
        await call(workspace, "search_files", pattern="def mean") == "stats.py:1: def mean(values):"
    )
    assert await call(workspace, "list_files", pattern="*.rs") == "No file matches."
    await call(workspace, "edit_file", path="stats.py", old="sum(values)", new="fsum(values)")
    assert "+    return fsum(values)" in await call(workspace, "git_diff")
    assert (await call(workspace, "run_command", command="sh -c 'exit 3'")) == "(exit status 3)"
    assert "tests: failed" in await call(workspace, "run_tests")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("run_command", {"command": "echo 'open"}),
        ("run_command", {"command": " "}),
        ("run_tests", {"only": ["--collect-only"]}),
        ("read_file", {"path": "../secret"}),
    ],
)
async def test_a_wrong_call_is_an_input_error(
    workspace: Workspace, name: str, arguments: dict[str, object]
):
    """It is told to the model, which may try again."""
    with pytest.raises(InputError):
        await call(workspace, name, **arguments)


def test_the_agents_name_built_in_tools_only(workspace: Workspace):
    """Every name in a tools.yaml is a tool; another one is an error that lists them."""
    for folder in AGENTS.glob("*/tools.yaml"):
        profile = load_profile(folder.parent.name).tools
        assert {*profile.core, *profile.profile} <= set(BUILT_IN)
    with pytest.raises(InputError, match="no built-in tool 'fly'"):
        workspace_tools(workspace, commands(workspace), ["fly"])


def test_the_rules_in_the_repository_are_the_defaults():
    """workspace.yaml can be read, and a key that it leaves out is what it says."""
    assert load_rules(ROOT / "config") == WorkspaceRules()
