"""The command tree: every use case is there with every field, and looking at it is cheap."""

import ast
import os
import subprocess
import sys
from typing import Any

import click
import pytest
from tests.cli.conftest import Chef

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import ChangingRequest
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.cli import main as tree
from agent_orchestrator.settings import own_python

HEAVY = {
    "pydantic",
    "sqlalchemy",
    "rich",
    "langchain_core",
    "langgraph",
    "langsmith",
    "huggingface_hub",
    "aiohttp",
    "matplotlib",
    "ruamel",
}
#: Options about how to run a use case, not about what it is asked.
RUNNING = {"as_json", "yes", "wait", "follow", "help"}


IN_GROUPS = {
    "check_dataset": ("dataset", "check"),
    "show_dataset": ("dataset", "show"),
    "list_datasets": ("dataset", "list"),
    "export_dataset": ("dataset", "export"),
    "simulate_canary": ("simulate", "canary"),
    "list_endpoints": ("endpoints", "list"),
    "endpoint_status": ("endpoints", "status"),
    "wake_endpoint": ("endpoints", "wake"),
    "sleep_endpoint": ("endpoints", "sleep"),
    "deploy_space": ("space", "deploy"),
    "space_status": ("space", "status"),
    "pause_space": ("space", "pause"),
    "restart_space": ("space", "restart"),
    "run_experiment": ("experiment", "run"),
}


def command_of(use_case: str) -> click.Command:
    """Return the command whose attribute is named after the use case."""
    if use_case in IN_GROUPS:
        group_name, name = IN_GROUPS[use_case]
        group = tree.cli.get_command(click.Context(tree.cli), group_name)
        assert isinstance(group, click.Group)
        return group.commands[name]
    names = [name for name, entry in tree.COMMANDS.items() if entry[1] == use_case]
    assert len(names) == 1, use_case
    command = tree.cli.get_command(click.Context(tree.cli), names[0])
    assert command is not None
    return command


@pytest.mark.parametrize("use_case", USE_CASES)
def test_every_use_case_has_a_command_with_all_fields_of_its_request(use_case: Any):
    """No more and no less than the request has, beside how to run it; each with its help."""
    command, kind = command_of(use_case), USE_CASES[use_case].request
    params = {param.name: param for param in command.params}
    assert set(kind.model_fields) == set(params) - RUNNING
    assert "as_json" in params
    assert ("yes" in params) == issubclass(kind, ChangingRequest)
    assert ("dry_run" in params) == issubclass(kind, ChangingRequest)
    for name, field in kind.model_fields.items():
        param = params[name]
        assert param.required == field.is_required()
        if isinstance(param, click.Option) and field.description:
            assert param.help.startswith(field.description)


@pytest.mark.parametrize("name", tree.COMMANDS)
def test_the_lists_one_line_helps_are_the_commands_own(name: str):
    """The list does not import the commands, so that it might say something else."""
    command = tree.cli.get_command(click.Context(tree.cli), name)
    assert command is not None
    assert command.get_short_help_str(200) == tree.COMMANDS[name][2]


@pytest.mark.parametrize("name", tree.COMMANDS)
def test_every_command_has_a_help_page(chef: Chef, name: str):
    """With exit code 0."""
    done = chef(name, "--help")
    assert done.code == 0
    assert "Usage: chef" in done.out


def test_the_help_lists_every_command(chef: Chef):
    """Names, what they do, and the exit codes."""
    done = chef("--help")
    assert done.code == 0
    text = " ".join(done.out.split())
    for name, (_, _, summary) in tree.COMMANDS.items():
        assert f"{name} {summary}" in text
    assert "0 done, 1 failed, 2 bad input, 3 needs approval" in text


@pytest.mark.parametrize("arguments", [(), ("registry",), ("simulate",)])
def test_a_group_without_a_command_shows_its_help(chef: Chef, arguments: tuple[str, ...]):
    """On stderr, as bad input."""
    done = chef(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"Usage: {' '.join(('chef', *arguments))}")
    assert done.err.count("\n") > 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("trian",), "Error: No such command 'trian'. Did you mean 'train'? See `chef --help`.\n"),
        (("zzz",), "Error: No such command 'zzz'. See `chef --help`.\n"),
        (("train", "cicd", "--dry-rum"), "No such option '--dry-rum'. Did you mean '--dry-run'?"),
        (("train",), "Error: Missing argument 'AGENT'. See `chef train --help`.\n"),
        (("train", "cicd", "more"), "Got unexpected extra argument (more) See `chef train --help`"),
        (("jobs", "--limit", "0"), "0 is not in the range x>=1."),
    ],
)
def test_a_mistyped_command_line_is_answered_in_one_line(
    chef: Chef, arguments: tuple[str, ...], said: str
):
    """With the nearest that exists and where to look; exit code 2."""
    done = chef(*arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_the_version_is_told(chef: Chef):
    """As every program does."""
    done = chef("--version")
    assert (done.code, done.out.split()[0]) == (0, "chef,")


def modules_of(*arguments: str) -> set[str]:
    """Return the top-level modules that a command loads, in a process of its own."""
    program = (
        "import sys; from agent_orchestrator.cli.main import main\n"
        f"sys.argv = ['chef', *{arguments!r}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('\\n' + repr({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([own_python(), "-c", program], capture_output=True, text=True, check=True)
    loaded: set[str] = ast.literal_eval(done.stdout.strip().splitlines()[-1])
    return loaded


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("ask", "--dry-run", "--json", "train feature_dev with dpo")],
)
def test_help_and_dry_sentences_load_nothing_heavy(arguments: tuple[str, ...]):
    """So that both come at once: they need neither stores nor models."""
    assert not HEAVY & modules_of(*arguments)


def test_a_reader_that_leaves_early_is_no_error():
    """``chef --help | head -1`` says nothing on stderr."""
    program = (
        "import sys; from agent_orchestrator.cli.main import main; sys.argv = ['chef', '--help'];"
        "sys.stdin.read(); main()"
    )
    with subprocess.Popen(
        [own_python(), "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b""
        process.stdin = None
        assert process.wait() in {0, 1}


def test_python_m_is_the_same_command():
    """``python -m agent_orchestrator`` is ``chef``."""
    done = subprocess.run(
        [sys.executable, "-m", "agent_orchestrator", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.stdout.startswith("chef, version")
