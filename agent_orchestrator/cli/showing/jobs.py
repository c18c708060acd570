"""How jobs, what they cost and what they made look."""

from __future__ import annotations

import click

from agent_orchestrator.agents.infrastructure.modelops.usecases import sentences
from agent_orchestrator.agents.infrastructure.modelops.usecases.conversion import ConversionResult
from agent_orchestrator.agents.infrastructure.modelops.usecases.costs import CostReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import JobReport
from agent_orchestrator.cli.showing.evaluation import (
    show_evaluation_result,
    show_experiment_result,
)
from agent_orchestrator.cli.tables import table


def show_job_report(result: JobReport) -> None:
    click.echo(sentences.standing(result))
    if result.error:
        click.echo(sentences.failed(result))
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


def _price(usd: float | None, minutes: float | None) -> str | None:
    parts = (
        None if usd is None else f"${usd:.2f}",
        None if minutes is None else f"{minutes:.1f} min",
    )
    return ", ".join(filter(None, parts)) or None
