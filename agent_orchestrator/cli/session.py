"""Runs one use case for the person at the terminal: approval asked in place, jobs followed."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable

import anyio
import click

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.coordinator import Coordinator
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Request, Result
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    Deployed,
    RolledBack,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    JobReport,
    MonitorTrainingJob,
)
from agent_orchestrator.cli import render
from agent_orchestrator.cli.failures import ShownFailure
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.domain.jobs import TERMINAL
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import ApprovalRequired, SettingsError
from agent_orchestrator.settings import Settings, load_settings
from agent_orchestrator.wiring.embedded import Embedded, compose

POLL_SECONDS = 0.3


def settings() -> Settings:
    """Read the environment. Raises SettingsError when there is no configuration folder."""
    found = load_settings()
    if not found.config_dir.is_dir():
        raise SettingsError(
            f"There is no configuration folder {str(found.config_dir)!r}.",
            remedy="Run chef in the project's folder, or set CHEF_CONFIG.",
        )
    return found


def embedded() -> Embedded:
    """Compose the embedded system from the environment. Raises SettingsError."""
    return compose(settings())


def caller() -> Caller:
    """Return who runs this: the operating system has authenticated them.

    By the process's user id, which no variable can change, unlike ``getpass.getuser``. Who can run
    this can also change its files, so the role is that of an administrator.
    """
    uid = os.getuid()
    try:
        return Caller(pwd.getpwuid(uid).pw_name, "cli", "admin")
    except KeyError:  # a container may run as a user that has no name
        return Caller(f"uid-{uid}", "cli", "admin")


def run(
    use_case: UseCaseName,
    request: Request,
    *,
    as_json: bool,
    yes: bool = False,
    wait: bool = False,
    prepare: Callable[[Result], Result] | None = None,
) -> None:
    """Run a use case and show its result, or what ``prepare`` leaves of it to show.

    Raises what the use case raises; ShownFailure when a followed job did not complete.
    """
    coordinator = embedded().coordinator

    async def main() -> None:
        result = await _run_approved(coordinator, use_case, request, as_json=as_json, yes=yes)
        if prepare is not None:
            result = prepare(result)
        await finish(coordinator, result, as_json=as_json, wait=wait)

    anyio.run(main)


async def finish(coordinator: Coordinator, result: Result, *, as_json: bool, wait: bool) -> None:
    """Show a result; with ``wait`` follow the job that it names first.

    Raises ShownFailure when that job did not complete, or a drill failed.
    """
    job_id = getattr(result, "job_id", None)
    if not wait or job_id is None:
        render.show(result, as_json=as_json)
        _check_drill(result)
        return
    if not as_json and not isinstance(result, JobReport):
        render.show(result, as_json=False)
    report = await follow(coordinator, job_id)
    render.show(report, as_json=as_json)
    if report.status != "completed":
        error = report.error
        what = f": {error.message}" if error else "."
        raise ShownFailure(
            f"Job {job_id} ended as {report.status}{what}", remedy=error.remedy if error else ""
        )


def _check_drill(result: Result) -> None:
    """Let a drill that failed end the command as failed; raises ShownFailure.

    The drill of a deployment undoes nothing: what was deployed serves, and people are warned.
    """
    if isinstance(result, Deployed) and result.drill is not None:
        if result.drill.verdict in (Verdict.FAIL, Verdict.ERROR):
            click.secho(
                f"WARNING: the deployment serves, but its rollback drill did not succeed: "
                f"{result.drill.message} Try `chef rollback {result.agent} --drill`.",
                fg="red",
                bold=True,
                err=True,
            )
        return
    drill = result.drill if isinstance(result, RolledBack) else None
    if drill is not None and drill.verdict is Verdict.FAIL:
        raise ShownFailure(
            f"The drill failed: {drill.message}", remedy="End or restart those that do not follow."
        )


async def follow(coordinator: Coordinator, job_id: str) -> JobReport:
    """Show a job's progress on stderr until it has ended; return its last report."""
    from agent_orchestrator.cli.progress import JobProgress

    with JobProgress() as progress:
        while True:
            report = await coordinator.run(
                "monitor_training_job", MonitorTrainingJob(job_id=job_id), caller()
            )
            if not isinstance(report, JobReport):
                raise TypeError(f"monitor_training_job returned {type(report).__name__}.")
            progress.update(report)
            if report.status in TERMINAL:
                return report
            await anyio.sleep(POLL_SECONDS)


async def _run_approved(
    coordinator: Coordinator, use_case: UseCaseName, request: Request, *, as_json: bool, yes: bool
) -> Result:
    who = caller()
    try:
        return await coordinator.run(use_case, request, who)
    except ApprovalRequired as needed:
        if not yes and not _confirmed(needed, as_json=as_json):
            raise
        await coordinator.answer(needed.approval_id, who, approve=True, reason="at the terminal")
        return await coordinator.resume(needed.approval_id, who)


def _confirmed(needed: ApprovalRequired, *, as_json: bool) -> bool:
    """Ask the person in place, where there is one."""
    if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return click.confirm(f"{needed.message}\nApprove now?", default=False, err=True)
