"""How results look: JSON on stdout for machines, tables for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import singledispatch
from typing import TYPE_CHECKING

import click

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import PlannedChange, Result
from agent_orchestrator.agents.infrastructure.modelops.usecases.conversion import (
    ConversionResult,
    ConversionStarted,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.costs import CostReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import (
    DatasetBuilt,
    DatasetExported,
    DatasetList,
    DatasetReport,
    Finding,
    LengthProfile,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    Deployed,
    DrillReport,
    RolledBack,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.endpoints import EndpointList
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import EvaluationResult
from agent_orchestrator.agents.infrastructure.modelops.usecases.experiments import (
    ArmContrast,
    ExperimentResult,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import JobReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.models import AgentModels
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import (
    LatencyQuantiles,
    RolloutReport,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.search import SearchStarted
from agent_orchestrator.agents.infrastructure.modelops.usecases.simulation import CanarySimulated
from agent_orchestrator.agents.infrastructure.modelops.usecases.spaces import SpaceReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import TrainingStarted

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_WITHOUT_TERMINAL = 110


def console(*, stderr: bool = False) -> Console:
    """Return a console that keeps tables whole when the output is a file."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream,
        width=None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL,
        highlight=False,
    )


def show(result: Result, *, as_json: bool) -> None:
    """Print one result."""
    if as_json:
        click.echo(result.model_dump_json())
    else:
        _show(result)


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    stderr: bool = False,
) -> None:
    """Print a table; None is shown as a dash."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(title=Text(title), title_justify="left", title_style="bold", header_style="dim")
    for column in columns:
        grid.add_column(Text(column), overflow="fold")
    for row in rows:
        # Text, because names and answers may hold what rich reads as markup.
        grid.add_row(*(Text("–" if cell is None else str(cell)) for cell in row))
    if grid.row_count:
        console(stderr=stderr).print(grid)
    else:
        console(stderr=stderr).print(f"{title}: none.", markup=False)


def clock(at: float) -> str:
    """Return a time in seconds since the epoch as text, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


@singledispatch
def _show(result: Result) -> None:
    """Print a result as a list of its fields."""
    for name, value in result.model_dump(mode="json").items():
        if value not in (None, "", [], {}):
            click.echo(f"{name.replace('_', ' ')}: {value}")


@_show.register
def _(result: PlannedChange) -> None:
    click.echo(f"Would: {result.summary}")
    click.echo(f"Cost: ${result.estimated_cost_usd:.2f}")
    click.echo(f"Approval: {'needed' if result.approval_needed else 'not needed'}")
    for name, value in result.details.items():
        click.echo(f"{name.replace('_', ' ')}: {value}")


@_show.register
def _(result: DatasetBuilt) -> None:
    counts = ", ".join(f"{count} {split}" for split, count in result.counts.items())
    click.echo(f"Data set {result.dataset} for {result.agent}: {counts}.")
    click.echo(f"sha256 {result.dataset_hash}")
    _show_findings(result.findings)


def _show_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        done = "" if finding.action == "kept" else f" [{finding.action}]"
        click.echo(f"- {finding.message}{done} {finding.suggestion}".rstrip())


@_show.register
def _(result: DatasetReport) -> None:
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


@_show.register
def _(result: DatasetList) -> None:
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


@_show.register
def _(result: DatasetExported) -> None:
    for path, rows in result.files.items():
        click.echo(f"{path}: {rows} rows")
    if result.left_out:
        click.echo(f"{result.left_out} examples lack what this form needs.")


@_show.register
def _(result: TrainingStarted) -> None:
    click.echo(
        f"Training {result.hub_repo} from {result.base_model} on {result.dataset}: "
        f"job {result.job_id}."
    )
    click.echo(
        f"Estimate: {result.estimated_minutes:.1f} min, ${result.estimated_cost_usd:.2f}; "
        f"approval {result.approval}."
    )


@_show.register
def _(result: JobReport) -> None:
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
        _show(result.conversion)
    if result.evaluation:
        _show(result.evaluation)
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


@_show.register
def _(result: ConversionStarted) -> None:
    on = f"evaluated on {result.evaluated_on}" if result.evaluated_on else result.not_evaluated
    click.echo(
        f"Converting {result.source} to {result.model} ({result.quantization}), {on}: "
        f"job {result.job_id}."
    )


@_show.register
def _(result: ConversionResult) -> None:
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


@_show.register
def _(result: EvaluationResult) -> None:
    table(
        f"{result.candidate} against {result.baseline or 'no baseline'} "
        f"on {result.n_examples} examples",
        ("metric", "baseline", "candidate", "change", "95 % interval of the difference"),
        [
            (
                change.metric,
                _number(change.baseline),
                _number(change.candidate),
                None if change.change_pct is None else f"{change.change_pct:+.1f} %",
                change.interval and f"{change.interval[0]:+.3f} … {change.interval[1]:+.3f}",
            )
            for change in result.changes
        ],
    )
    improvement = result.improvement_pct
    click.echo(
        f"Recommendation: {result.recommendation}"
        + ("" if improvement is None else f" (weighted improvement {improvement:+.1f} %)")
    )
    for reason in result.reasons:
        click.echo(f"- {reason}")
    for name, path in result.reports.items():
        click.echo(f"{name}: {path}")
    if result.experiment_url:
        click.echo(f"LangSmith: {result.experiment_url}")
    if result.upload_error:
        click.echo(f"Not uploaded: {result.upload_error}")


@_show.register
def _(result: ExperimentResult) -> None:
    about = result.contrasts[0].metric if result.contrasts else "accuracy"
    found = {c.arm: c for c in result.contrasts if c.metric == about}
    table(
        f"{result.experiment}: {result.n_examples} examples, {result.repetitions} × each",
        ("arm", about, "against the baseline", "settled", "seconds", "tokens", "cost", "failed"),
        [
            (
                f"{arm.arm} (baseline)" if arm.arm == result.baseline else arm.arm,
                _number(arm.scores.get(about)),
                _contrast(found.get(arm.arm)),
                _settled(found.get(arm.arm)),
                _number(arm.avg_latency_s),
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
    for name, path in result.reports.items():
        click.echo(f"{name}: {path}")


def _contrast(found: ArmContrast | None) -> str | None:
    if found is None:
        return None
    if found.interval is None:
        return f"{found.difference:+.3f}"
    return f"{found.difference:+.3f} ({found.interval[0]:+.3f} … {found.interval[1]:+.3f})"


def _settled(found: ArmContrast | None) -> str | None:
    if found is None or found.supported is None:
        return None
    if found.supported:
        return "better" if found.difference > 0 else "worse"
    return f"no: {found.examples_needed} more" if found.examples_needed else "no"


@_show.register
def _(result: Deployed) -> None:
    table(
        f"Checklist for {result.model}",
        ("check", "verdict", "finding"),
        [(item.name, item.verdict.value, item.message) for item in result.checklist],
    )
    rollout = f" (rollout {result.rollout_id})" if result.rollout_id else ""
    for arm in result.arms[1:]:
        copies = f", and copies of {arm.mirror_pct} %" if arm.mirror_pct else ""
        click.echo(
            f"{arm.version or arm.model} has {arm.weight_pct} % of the traffic of "
            f"{result.agent}{copies}{rollout}."
        )
    if result.drill is not None:
        _show_drill(result.drill)


@_show.register
def _(result: RolloutReport) -> None:
    if result.rollout_id is None:
        click.echo(f"{result.agent} has had no rollout.")
        return
    click.echo(
        f"Rollout {result.rollout_id} of {result.agent} ({result.strategy}): {result.phase}, "
        f"{result.weight} % candidate{_steps(result)}."
    )
    if result.outlook:
        click.echo(result.outlook)
    if result.reason:
        click.echo(result.reason)
    _show_arms(result)
    _show_evidence(result)
    if result.drilled is not None:
        _show_drill(result.drilled)
    for decision in result.decisions:
        click.echo(f"{clock(decision.at)} {decision.actor}: {decision.message}")


def _steps(result: RolloutReport) -> str:
    if result.strategy not in ("canary", "shadow"):
        return ""
    return f", steps {' → '.join(map(str, result.steps))}"


def _show_arms(result: RolloutReport) -> None:
    table(
        "Arms",
        (
            *("arm", "version", "model", "asked", "realised", "requests", "errors"),
            *("p50 / p95 / p99 ms", "breaker"),
        ),
        [
            (
                arm.arm,
                arm.version,
                arm.model,
                f"{arm.asked_pct} %" + (f" + copies {arm.mirror_pct} %" if arm.mirror_pct else ""),
                None if arm.realised_pct is None else f"{arm.realised_pct:.1f} %",
                arm.requests,
                arm.errors,
                arm.latency_ms and _quantiles(arm.latency_ms),
                f"{arm.health} {arm.trip_reason}".strip(),
            )
            for arm in result.arms
        ],
    )
    for arm in result.arms:
        if arm.recent_calls:
            failed = f"{arm.recent_failures} of {arm.recent_calls} calls failed in the last 30 s"
            click.echo(f"{arm.arm}: {arm.condition}, {failed}.")


def _show_evidence(result: RolloutReport) -> None:
    if result.verdict is None:
        click.echo("No verdict yet.")
    else:
        click.echo(f"Verdict: {result.verdict.value}. {result.verdict_reason}".rstrip())
    table(
        "Evidence",
        ("guardrail", "verdict", "candidate", "stable", "difference", "evidence", "lower bound"),
        [
            (
                rail.guardrail if len(result.arms) == 2 else f"{rail.arm} {rail.guardrail}",  # noqa: PLR2004
                rail.verdict.value,
                f"{_number(rail.candidate_rate) or '–'} of {rail.candidate_n}",
                f"{_number(rail.stable_rate) or '–'} of {rail.stable_n}",
                rail.difference and f"{rail.difference[0]:+.2f} … {rail.difference[1]:+.2f}",
                f"{rail.e_value:.3g} of {rail.threshold:.3g}",
                _number(rail.lower_bound),
            )
            for rail in result.guardrails
        ],
    )
    for rail in result.guardrails:
        if rail.better_e_value is not None:
            click.echo(
                f"{rail.arm} better on {rail.guardrail}: evidence {rail.better_e_value:.3g} of "
                f"{rail.better_threshold:.3g}, p = {min(1.0, 1.0 / rail.better_e_value):.2g}."
            )


def _show_drill(drill: DrillReport) -> None:
    click.echo(f"Drill at {clock(drill.at)}: {drill.verdict.value}. {drill.message}")
    if drill.processes:
        table(
            f"Drill, the split was away for {drill.away_s:.3f} s",
            ("process", "new table after", "last old answer after", "still under way"),
            [
                (
                    process.process,
                    _seconds(process.in_effect_s),
                    _seconds(process.last_answer_s),
                    process.under_way,
                )
                for process in drill.processes
            ],
        )


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f} s"


@_show.register
def _(result: RolledBack) -> None:
    if result.drill is not None:
        _show_drill(result.drill)
        return
    click.echo(
        f"{result.agent} is served by {result.version or result.model} again "
        f"after {result.seconds:.2f} s."
    )


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


@_show.register
def _(result: CanarySimulated) -> None:
    click.echo(
        f"Rolled back {result.rollback_rate:.1%}, promoted {result.promotion_rate:.1%}, "
        f"undecided {result.undecided_rate:.1%} of the runs."
    )
    click.echo(
        f"Candidate requests to rollback: "
        f"median {_count(result.median_candidate_requests)}, "
        f"90 % within {_count(result.p90_candidate_requests)}; "
        f"a test that knew both rates: median {_count(result.sprt_median)}."
    )
    days = f", {result.expected_days:.2g} days" if result.expected_days is not None else ""
    click.echo(
        f"Expected a run: {result.expected_requests:.0f} requests of both arms{days}, "
        f"{result.expected_errors:.0f} bad answers."
    )


@_show.register
def _(result: AgentModels) -> None:
    click.echo(f"{result.agent} is served by {result.serving}.")
    table(
        "Versions",
        ("version", "status", "parent", "accuracy", "improvement", "recommendation", "model"),
        [
            (
                version.version,
                version.status,
                version.parent,
                _number(version.accuracy),
                None if version.improvement_pct is None else f"{version.improvement_pct:+.1f} %",
                version.recommendation,
                version.model_id,
            )
            for version in result.versions
        ],
    )


@_show.register
def _(result: SpaceReport) -> None:
    price = "" if not result.usd_per_hour else f", ${result.usd_per_hour:.2f} an hour"
    where = f"{result.space}: {result.stage} on {result.hardware}{price}" if result.space else "App"
    click.echo(f"{where} ({result.url})")
    if result.health is not None:
        gpus = ", ".join(result.gpus) or "no GPU"
        click.echo(f"Health: {result.health}; {gpus}, {result.disk_free_gb} GB of disk free")
        click.echo(f"Jobs: {len(result.running)} run, {len(result.waiting)} wait")
    for reason in result.reasons:
        click.echo(reason)


@_show.register
def _(result: EndpointList) -> None:
    table(
        f"Inference Endpoints of {result.namespace}",
        ("endpoint", "status", "model", "machine", "an hour", "serves"),
        [
            (
                one.name,
                one.status,
                one.model,
                one.instance,
                None if one.usd_per_hour is None else f"${one.usd_per_hour:.2f}",
                ", ".join(one.serves) or None,
            )
            for one in result.endpoints
        ],
    )


def _quantiles(found: LatencyQuantiles) -> str:
    return " / ".join(f"{value:.0f}" for value in (found.p50, found.p95, found.p99))


def _number(value: float | None) -> str | None:
    """Return counts as whole numbers, rates and scores with three digits."""
    if value is None:
        return None
    return f"{value:.0f}" if value.is_integer() and abs(value) >= 10 else f"{value:.3f}"  # noqa: PLR2004


@_show.register
def _(result: CostReport) -> None:
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


@_show.register
def _(result: SearchStarted) -> None:
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
