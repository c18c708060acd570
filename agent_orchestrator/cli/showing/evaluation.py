"""How evaluations and experiments look."""

from __future__ import annotations

import click

from agent_orchestrator.agents.infrastructure.modelops.reports.wording import plural
from agent_orchestrator.agents.infrastructure.modelops.usecases import sentences
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import EvaluationResult
from agent_orchestrator.agents.infrastructure.modelops.usecases.experiments import (
    ArmContrast,
    ExperimentResult,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.run_scores import RunScores
from agent_orchestrator.cli.tables import number, table
from agent_orchestrator.domain.wording import counted


def show_evaluation_result(result: EvaluationResult) -> None:
    table(
        f"{result.candidate} against {result.baseline or 'no baseline'} "
        f"on {counted(result.n_examples, 'example[s]')}"
        + (f", {result.repetitions} × each" if result.repetitions > 1 else ""),
        ("metric", "baseline", "candidate", "change", "95 % interval of the difference"),
        [
            (
                change.metric,
                number(change.baseline),
                number(change.candidate),
                None if change.change_pct is None else f"{change.change_pct:+.1f} %",
                change.interval and f"{change.interval[0]:+.3f} … {change.interval[1]:+.3f}",
            )
            for change in result.changes
        ],
    )
    click.echo(sentences.recommended(result))
    for reason in result.reasons:
        click.echo(f"- {reason}")
    kept = [f"{count} of the {side}'s" for side, count in result.cached_calls.items() if count]
    if kept:
        click.echo(
            f"Answers kept from an earlier run: {', '.join(kept)}. They have no latency; "
            "--no-cache asks anew."
        )
    _show_places(result)


def show_experiment_result(result: ExperimentResult) -> None:
    about = sentences.about(result)
    found = {c.arm: c for c in result.contrasts if c.metric == about}
    table(
        f"{result.experiment}: {counted(result.n_examples, 'example[s]')}, "
        f"{result.repetitions} × each",
        ("arm", about, "against the baseline", "settled", "seconds", "tokens", "cost", "failed"),
        [
            (
                f"{arm.arm} (baseline)" if arm.arm == result.baseline else arm.arm,
                number(arm.scores.get(about)),
                _contrast(found.get(arm.arm)),
                _settled(found.get(arm.arm)),
                number(arm.avg_latency_s),
                None if arm.avg_tokens is None else f"{arm.avg_tokens:.0f}",
                None if arm.cost_usd is None else f"${arm.cost_usd:.4f}",
                f"{arm.failed_calls} of {arm.calls}",
            )
            for arm in sorted(result.arms, key=lambda arm: -arm.scores.get(about, 0.0))
        ],
    )
    others = [c for c in result.contrasts if c.metric != about]
    if others:
        table(
            "Other metrics against the baseline",
            ("arm", "metric", "difference", "settled"),
            [(c.arm, c.metric, _contrast(c), _settled(c)) for c in others],
        )
    click.echo("Intervals are corrected for all comparisons together (Holm).")
    _show_places(result)


def show_run_scores(result: RunScores) -> None:
    table(
        f"{plural(result.n_runs, 'finished run')} of {result.agent} in {result.project}",
        ("metric", "mean", "95 % interval", "runs", "lowest run"),
        [
            (
                score.metric,
                number(score.mean),
                score.interval and f"{score.interval[0]:.3f} … {score.interval[1]:.3f}",
                str(score.n),
                score.lowest[0] if score.lowest else None,
            )
            for score in result.scores
        ],
    )
    for note in sentences.run_notes(result):
        click.echo(note)


def _show_places(result: EvaluationResult | ExperimentResult) -> None:
    """Say where the reports lie, and LangSmith's page."""
    for name, path in result.reports.items():
        click.echo(f"{name}: {path}")
    if result.experiment_url:
        click.echo(f"LangSmith: {result.experiment_url}")
    if result.upload_error:
        click.echo(f"Not uploaded: {result.upload_error}")


def _contrast(found: ArmContrast | None) -> str | None:
    if found is None:
        return None
    if found.interval is None:
        return f"{found.difference:+.3f}"
    return f"{found.difference:+.3f} ({found.interval[0]:+.3f} … {found.interval[1]:+.3f})"


def _settled(found: ArmContrast | None) -> str | None:
    return None if found is None else sentences.settled(found)
