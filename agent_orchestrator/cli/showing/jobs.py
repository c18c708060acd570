"""How jobs, what they cost and what they made look."""

from __future__ import annotations

import click

from agent_orchestrator.agents.infrastructure.modelops.usecases.conversion import (
    ConversionResult,
    ConversionStarted,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.costs import CostReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import JobReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.search import SearchStarted
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import TrainingStarted
from agent_orchestrator.cli.showing.evaluation import (
    show_evaluation_result,
    show_experiment_result,
)
from agent_orchestrator.cli.tables import table


def show_training_started(result: TrainingStarted) -> None:
    click.echo(
        f"Training {result.hub_repo} from {result.base_model} on {result.dataset}: "
        f"job {result.job_id}."
    )
    click.echo(
        f"Estimate: {result.estimated_minutes:.1f} min, ${result.estimated_cost_usd:.2f}; "
        f"approval {result.approval}."
    )


def show_job_report(result: JobReport) -> None:
    whose = ", ".join(filter(None, (result.kind, result.agent)))
    parts = [f"Job {result.job_id} ({whose}): {result.status}"]
    if result.progress_pct is not None and result.status == "running":
        parts.append(f"{result.progress_pct:.0f} %")
    if result.current_loss is not None:
        parts.append(f"loss {result.current_loss:.4f}")
    if result.version:
        parts.append(f"registered as {result.version}")
    click.echo(", ".join(parts) + ".")
    if result.error:
        click.echo(f"{result.error.kind}: {result.error.message} {result.error.remedy}".rstrip())
    for note in result.notes:
        click.echo(f"- {note}")
    if result.conversion:
        show_conversion_result(result.conversion)
    if result.evaluation:
        show_evaluation_result(result.evaluation)
    if result.experiment:
        show_experiment_result(result.experiment)
    if result.trials:
        table(
            "Trials",
            ("job", "rung", "setting", "status", "reached", "$"),
            [
                (
                    trial.job_id,
                    trial.rung,
                    ", ".join(f"{name} {value}" for name, value in trial.setting.items()),
                    trial.status,
                    None if trial.value is None else f"{trial.value:.4f}",
                    f"{trial.cost_usd:.2f}",
                )
                for trial in result.trials
            ],
        )


def show_conversion_started(result: ConversionStarted) -> None:
    on = f"evaluated on {result.evaluated_on}" if result.evaluated_on else result.not_evaluated
    click.echo(
        f"Converting {result.source} to {result.model} ({result.quantization}), {on}: "
        f"job {result.job_id}."
    )


def show_conversion_result(result: ConversionResult) -> None:
    table(
        f"{result.model}: {result.quantization} of {result.source}, "
        f"{result.parameters:,} parameters",
        ("file", "bytes", "sha256"),
        [(file.path, f"{file.bytes:,}", file.sha256[:16]) for file in result.files],
    )
    equal, texts = result.tokenizer_checks
    click.echo(f"Tokenizer: {equal} of {texts} texts split as the original does.")
    beside = result.beside_parent
    if beside is not None:
        (before, after), equal = beside.bytes, beside.answers_equal
        slow, quick = (f"{ms:.0f} ms" if ms is not None else "–" for ms in beside.latency_ms)
        click.echo(
            f"Beside its parent: {equal} of {beside.answers_compared} answers equal, "
            f"{after / before:.0%} of the size, {quick} an answer ({slow})."
        )
    for text in filter(None, (result.not_evaluated, result.not_published)):
        click.echo(f"Note: {text}.")
    for program, commands in result.usage.items():
        click.echo(f"{program}:\n  " + commands.replace("\n", "\n  "))
    if result.hub_url:
        click.echo(f"Published: {result.hub_url}")


def show_cost_report(result: CostReport) -> None:
    table(
        f"Jobs of {result.month}",
        ("job", "kind", "agent", "status", "estimate", "actual"),
        [
            (
                job.job_id,
                job.kind,
                job.agent,
                job.status,
                _price(job.estimated_cost_usd, job.estimated_minutes),
                _price(job.actual_cost_usd, job.actual_minutes),
            )
            for job in result.jobs
        ],
    )
    click.echo(
        f"{result.month}: ${result.spent_usd:.2f} of ${result.limit_usd:.2f} and "
        f"{result.spent_hours:.1f} of {result.limit_hours:g} rented hours spent or reserved; "
        f"${result.left_usd:.2f} and {result.left_hours:.1f} hours are left."
    )


def show_search_started(result: SearchStarted) -> None:
    click.echo(
        f"Search with {result.trials} settings, {result.trainings} trainings of "
        f"{result.base_model} on {result.dataset}: job {result.job_id}."
    )
    click.echo(
        f"Compared by {result.metric}; about {result.estimated_minutes:.1f} min, at most "
        f"${result.max_cost_usd:.2f}; approval {result.approval}."
    )


def _price(usd: float | None, minutes: float | None) -> str | None:
    parts = (
        None if usd is None else f"${usd:.2f}",
        None if minutes is None else f"{minutes:.1f} min",
    )
    return ", ".join(filter(None, parts)) or None
