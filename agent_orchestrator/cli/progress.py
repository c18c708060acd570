"""A job's progress on stderr."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import JobReport
from agent_orchestrator.cli import tables


class JobProgress:
    """A live bar on a terminal; elsewhere one line for each tenth of the way."""

    def __init__(self) -> None:
        self._console = tables.console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[numbers]}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._task: TaskID | None = None
        self._last_line = ""

    def __enter__(self) -> Self:
        """Start the bar."""
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bar as it stands."""
        if self._console.is_terminal:
            self._bar.stop()

    def update(self, report: JobReport) -> None:
        """Show where the job stands."""
        what = report.message or report.status
        numbers = _numbers(report)
        if self._console.is_terminal:
            if self._task is None:
                self._task = self._bar.add_task(what, total=100, numbers=numbers)
            self._bar.update(
                self._task, completed=report.progress_pct, description=what, numbers=numbers
            )
            return
        tenth = int((report.progress_pct or 0) // 10)
        line = f"{what} {tenth * 10} %" if report.progress_pct is not None else what
        if line != self._last_line:
            self._last_line = line
            self._console.print(f"{line} {numbers}".rstrip(), markup=False)


def _numbers(report: JobReport) -> str:
    parts = []
    if report.current_step is not None and report.total_steps is not None:
        parts.append(f"step {report.current_step}/{report.total_steps}")
    if report.current_loss is not None:
        parts.append(f"loss {report.current_loss:.4f}")
    if report.learning_rate is not None:
        parts.append(f"learning rate {report.learning_rate:.3g}")
    if report.eta_minutes is not None:
        parts.append(f"{report.eta_minutes * 60:.0f} s left")
    return ", ".join(parts)
