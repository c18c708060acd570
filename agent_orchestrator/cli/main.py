"""``chef``: the command tree, the exit codes and the one place where errors become text.

Commands are imported when they run, so that ``chef --help`` stays quick; their one-line helps stand
here and a test compares them with the commands themselves.
"""

from __future__ import annotations

import difflib
import gc
import importlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import click

from agent_orchestrator import __version__
from agent_orchestrator.cli import failures
from agent_orchestrator.errors import ChefError, InputError

#: What shells use for a command that Ctrl-C ended.
_INTERRUPTED = 130

#: Command → (module, attribute, one-line help), in the order of ``chef --help``.
COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "ask": ("ask", "ask", "Say what you want in a sentence."),
    "chat": (
        "chat",
        "chat",
        "Talk to the agents: train, compare and deploy step by step.",
    ),
    "threads": ("threads", "threads", "See the conversations; remove what nobody needs of them."),
    "build-dataset": ("usecase", "build_dataset", "Build a data set for an agent."),
    "dataset": ("usecase", "dataset", "Look into data before any money is spent."),
    "train": ("usecase", "train_subagent_model", "Fine-tune a model for an agent."),
    "search": (
        "usecase",
        "search_hyperparameters",
        "Try hyperparameters and register the model that they made best.",
    ),
    "evaluate": ("usecase", "evaluate_model_vs_baseline", "Compare a candidate with a baseline."),
    "score-runs": ("usecase", "score_runs", "Score an agent's finished runs."),
    "experiment": ("experiment", "experiment", "Compare several models and ways of asking them."),
    "deploy": ("usecase", "deploy_model_to_agent", "Put a model in front of an agent's traffic."),
    "promote": ("usecase", "promote_canary", "Give the candidate more traffic."),
    "rollback": ("usecase", "rollback_deployment", "Send the traffic back to an earlier version."),
    "rollout": ("usecase", "rollout_status", "Show how an agent's rollout stands."),
    "reset-breaker": ("usecase", "reset_breaker", "Close a tripped circuit breaker by hand."),
    "simulate": ("usecase", "simulate", "Plan a canary by simulation."),
    "models": ("usecase", "list_agent_models", "List an agent's versions."),
    "job": ("usecase", "monitor_training_job", "Show how a job stands."),
    "cancel": ("usecase", "cancel_training_job", "Cancel a job."),
    "resume": ("usecase", "resume_training_job", "Go on with a training that was cut off."),
    "convert": ("usecase", "convert_model_to_gguf", "Convert a model to GGUF."),
    "endpoints": ("usecase", "endpoints", "See and control the Inference Endpoints."),
    "status": ("overview", "status", "Show what serves whom, and what waits or runs."),
    "costs": (
        "usecase",
        "list_costs",
        "List what the jobs of a month cost, and what is left of its budget.",
    ),
    "jobs": (
        "overview",
        "jobs",
        "List the jobs, newest first; or follow those that have not ended, a line an event.",
    ),
    "approvals": (
        "approvals",
        "approvals",
        "List what waits for approval; show, edit, cancel.",
    ),
    "approve": ("approvals", "approve", "Approve a request and carry it out."),
    "reject": ("approvals", "reject", "Reject a request; it cannot be carried out any more."),
    "registry": ("registry", "registry", "Look into the model registry, or mend it."),
    "audit": ("overview", "audit", "Show who did what, newest last."),
    "gateway": ("gateway", "gateway", "Control who may ask the gateway."),
    "api": ("api", "api", "Control who may use the HTTP API, and print its document."),
    "space": ("space", "space", "Train on a Hugging Face Space: run, deploy and watch its app."),
    "mcp": ("mcp", "mcp", "Serve every use case as a tool to an MCP client."),
    "serve": ("serve", "serve", "Run the gateway, the API, the model server and the timer."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and helps, and imports one when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in their order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command. Raises UsageError that names the nearest one."""
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {cmd_name!r}.{hint}", ctx)
        module, attribute, _ = COMMANDS[cmd_name]
        with _no_collection():
            found = importlib.import_module(f"agent_orchestrator.cli.{module}")
        command = getattr(found, attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{attribute} is not a command.")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[2]) for name, entry in COMMANDS.items()])


@contextmanager
def _no_collection() -> Iterator[None]:
    """Look for no garbage while importing: modules leave none, and looking takes a tenth of it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()  # nor later, among what stays for good


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chef")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens to stderr.")
def cli(verbose: bool) -> None:
    """Coding agents that make themselves better.

    Train a model for an agent, compare it with what serves, let part of the traffic try it, and
    have it promoted or rolled back on evidence.

    Exit codes: 0 done, 1 failed, 2 bad input, 3 needs approval.
    """
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``chef``; a ChefError becomes one line on stderr and its exit code.

    ``arguments`` are those of the process when left out.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    try:
        # Without standalone mode, what --help and --version end with is returned.
        sys.exit(cli.main(given, prog_name="chef", standalone_mode=False))
    except ChefError as error:
        failures.show(error, as_json=as_json)
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as shown:
        click.echo(shown.format_message(), err=True)
        sys.exit(InputError.exit_code)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "chef"
        wrong = InputError(error.format_message(), remedy=f"See `{path} --help`.")
        failures.show(wrong, as_json=as_json)
        sys.exit(wrong.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:  # whoever read our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        sys.exit(1)
