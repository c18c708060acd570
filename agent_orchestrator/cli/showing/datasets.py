"""How data sets look."""

from __future__ import annotations

from collections.abc import Sequence

import click

from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import (
    DatasetBuilt,
    DatasetExported,
    DatasetList,
    DatasetReport,
    Finding,
    LengthProfile,
)
from agent_orchestrator.cli.tables import table
from agent_orchestrator.domain.wording import counted


def show_dataset_built(result: DatasetBuilt) -> None:
    counts = ", ".join(f"{count} {split}" for split, count in result.counts.items())
    click.echo(f"Data set {result.dataset} for {result.agent}: {counts}.")
    click.echo(f"sha256 {result.dataset_hash}")
    _show_findings(result.findings)


def _show_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        done = "" if finding.action == "kept" else f" [{finding.action}]"
        click.echo(f"- {finding.message}{done} {finding.suggestion}".rstrip())


def show_dataset_report(result: DatasetReport) -> None:
    counts = ", ".join(f"{count} {split}" for split, count in result.counts.items())
    name = result.dataset or f"{result.origin} (only checked)"
    click.echo(f"{name} for {result.agent}: {counts}.")
    if result.problem:
        click.echo(f"It cannot be used: {result.problem}")
    if result.rows_read is not None:
        click.echo(f"Rows read: {result.rows_read}")
    able = ", ".join(f"{method} {count}" for method, count in result.trainable.items())
    click.echo(f"Trainable: {able}")
    lengths = {
        f"Tokens ({result.tokens_how})": result.tokens,
        "Task, characters": result.task_chars,
        "Answer, characters": result.answer_chars,
    }
    for title, length in lengths.items():
        if length is not None:
            click.echo(f"{title}: {_lengths(length)}")
    languages = ", ".join(f"{name} {share:.0%}" for name, share in result.languages.items())
    if languages:
        click.echo(f"Languages of {result.language_sample} examples: {languages}")
    _show_findings(result.findings)
    if not result.findings:
        click.echo("Nothing was found.")
    click.echo(f"sha256 {result.dataset_hash}")
    click.echo(f"Report: {result.reports['html']}")


def _lengths(found: LengthProfile) -> str:
    return (
        f"{found.total} in all, {found.mean:.0f} on average, half up to {found.p50}, "
        f"95 % up to {found.p95}, the longest {found.max}"
    )


def show_dataset_list(result: DatasetList) -> None:
    table(
        "Data sets",
        ("data set", "agent", "train", "eval", "findings", "origin", "built"),
        [
            (
                one.dataset,
                one.agent,
                one.counts.get("train"),
                one.counts.get("eval"),
                one.findings,
                one.origin,
                one.created_at[:16].replace("T", " "),
            )
            for one in result.datasets
        ],
    )


def show_dataset_exported(result: DatasetExported) -> None:
    for path, rows in result.files.items():
        click.echo(f"{path}: {counted(rows, 'row[s]')}")
    if result.left_out:
        click.echo(
            f"{counted(result.left_out, '[example lacks|examples lack]')} what this form needs."
        )
