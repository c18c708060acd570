"""Jobs in sentences: what was begun, how it stands, what it found.

A conversation says nothing else; a terminal draws tables beside them.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent_orchestrator.agents.infrastructure.modelops.usecases.conversion import (
    ConversionResult,
    ConversionStarted,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import (
    EvaluationResult,
    EvaluationStarted,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.experiments import (
    ArmContrast,
    ExperimentResult,
    ExperimentStarted,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import JobReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.run_scores import RunScores
from agent_orchestrator.agents.infrastructure.modelops.usecases.search import SearchStarted
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import TrainingStarted
from agent_orchestrator.domain.jobs import registers
from agent_orchestrator.domain.wording import counted, lines_of

_NO_APPROVAL = "none needed"


def training_started(result: TrainingStarted) -> str:
    """Say which training was begun, and its price."""
    return (
        f"Training {result.hub_repo} from {result.base_model} on {result.dataset}: job "
        f"{result.job_id}, about {result.estimated_minutes:.1f} min, "
        f"${result.estimated_cost_usd:.2f}{_approved(result.approval)}."
    )


def search_started(result: SearchStarted) -> str:
    """Say which search was begun, and its price."""
    return (
        f"Searching {counted(result.trials, 'setting[s]')} "
        f"({counted(result.trainings, 'training[s]')}) of {result.base_model} on "
        f"{result.dataset}, compared by {result.metric}: job {result.job_id}, about "
        f"{result.estimated_minutes:.1f} min, at most "
        f"${result.max_cost_usd:.2f}{_approved(result.approval)}."
    )


def evaluation_started(result: EvaluationStarted) -> str:
    """Say what is compared with what, and the price."""
    baseline = result.baseline
    what = (
        f"Comparing {result.candidate} with {baseline}"
        if baseline
        else (f"Measuring {result.candidate} alone")
    )
    return (
        f"{what} on {counted(result.n_examples, 'example[s]')} of "
        f"{result.dataset}: job {result.job_id}, at most ${result.estimated_cost_usd:.2f}."
        f"{uploads(result.uploads_to)}"
    )


def experiment_started(result: ExperimentStarted) -> str:
    """Say which experiment was begun, and its price."""
    return (
        f"Experiment {result.experiment}, {counted(len(result.arms), 'arm[s]')} on "
        f"{counted(result.n_examples, 'example[s]')}, {counted(result.runs, 'run[s]')}: job "
        f"{result.job_id}, at most ${result.estimated_cost_usd:.2f}.{uploads(result.uploads_to)}"
    )


def conversion_started(result: ConversionStarted) -> str:
    """Say what is converted, and on what it will be measured."""
    on = f"evaluated on {result.evaluated_on}" if result.evaluated_on else result.not_evaluated
    return (
        f"Converting {result.source} to {result.model} ({result.quantization}), {on}: job "
        f"{result.job_id}."
    )


def standing(report: JobReport) -> str:
    """Say in one line how a job stands, and what of it the registry has."""
    whose = f"{report.kind} for {report.agent}" if report.agent else report.kind
    parts = [f"Job {report.job_id} ({whose}): {report.status}"]
    if report.progress_pct is not None and report.status == "running":
        parts.append(f"{report.progress_pct:.0f} %")
    if report.current_loss is not None:
        parts.append(f"loss {report.current_loss:.4f}")
    if report.version and registers(report.kind):
        best = "the best is " if report.kind == "search" else ""
        parts.append(f"{best}registered as {report.version}")
    elif report.version:
        parts.append(f"its scores stand with {report.version}")
    return ", ".join(parts) + "."


def failed(report: JobReport) -> str:
    """Say why a job failed and what to do; empty when it did not."""
    if report.error is None:
        return ""
    return f"{report.error.kind}: {report.error.message} {report.error.remedy}".rstrip()


def found(report: JobReport) -> str:
    """Say everything about a job: how it stands, why it failed, what it found."""
    lines = [standing(report), failed(report), *(f"- {note}" for note in report.notes)]
    if report.conversion:
        lines += _conversion(report.conversion)
    if report.evaluation:
        lines += _evaluation(report.evaluation)
    if report.experiment:
        lines += _experiment(report.experiment)
    if report.trials:
        reached = [trial.value for trial in report.trials if trial.value is not None]
        lines.append(f"{counted(len(report.trials), 'trial[s]')}, {len(reached)} with a result.")
    return lines_of(filter(None, lines))


def recommended(result: EvaluationResult) -> str:
    """Say what an evaluation recommends."""
    change = result.improvement_pct
    overall = "" if change is None else f" (weighted improvement {change:+.1f} %)"
    return f"Recommendation: {result.recommendation}{overall}."


def run_scores(result: RunScores) -> str:
    """Say what finished runs score."""
    head = f"{counted(result.n_runs, 'finished run[s]')} of {result.agent} in {result.project}"
    scores = [
        f"- {one.metric}: {one.mean:.3f}{_range(one.interval)} over {counted(one.n, 'run[s]')}"
        for one in result.scores
    ]
    return lines_of([f"{head}:" if scores else f"{head}.", *scores, *run_notes(result)])


def run_notes(result: RunScores) -> Iterator[str]:
    """Yield what there is to say beside the scores of finished runs."""
    if result.avg_latency_s is not None:
        yield f"Mean latency: {result.avg_latency_s:.2f} s."
    if result.avg_tokens is not None:
        yield f"Mean tokens: {result.avg_tokens:.0f}."
    if result.failed_runs:
        yield f"{counted(result.failed_runs, 'run[s]')} failed."
    if result.unfinished_runs:
        yield f"{counted(result.unfinished_runs, 'run[s]')} not finished: left out."
    if result.other_runs:
        yield f"{counted(result.other_runs, 'run[s]')} of other agents: left out."
    if result.more_runs:
        yield "There are older ones: ask for more with max_runs."
    for problem in result.problems:
        yield f"Not scored: {problem}"


def about(result: ExperimentResult) -> str:
    """Return the metric that an experiment's arms are compared by first."""
    return result.contrasts[0].metric if result.contrasts else "accuracy"


def settled(contrast: ArmContrast) -> str | None:
    """Say whether a difference is settled: better, worse, or how many examples are wanting."""
    if contrast.supported is None:
        return None
    if contrast.supported:
        return "better" if contrast.difference > 0 else "worse"
    return f"no: {contrast.examples_needed} more" if contrast.examples_needed else "no"


def _evaluation(result: EvaluationResult) -> Iterator[str]:
    for change in result.changes:
        before, after = _score(change.baseline), _score(change.candidate)
        yield f"- {change.metric}: {after} (baseline {before})"
    yield " ".join([recommended(result), *result.reasons])


def _experiment(result: ExperimentResult) -> Iterator[str]:
    metric = about(result)
    contrasts = {one.arm: one for one in result.contrasts if one.metric == metric}
    for arm in sorted(result.arms, key=lambda arm: -arm.scores.get(metric, 0.0)):
        line = f"- {arm.arm}: {metric} {_score(arm.scores.get(metric))}"
        contrast = contrasts.get(arm.arm)
        if arm.arm == result.baseline:
            line += " (baseline)"
        elif contrast is not None:
            line += f", {contrast.difference:+.3f}{_range(contrast.interval, signed=True)}"
            certain = settled(contrast)
            line += f", settled: {certain}" if certain else ""
        yield line


def _conversion(result: ConversionResult) -> Iterator[str]:
    size = sum(file.bytes for file in result.files) / 1e6
    yield f"{result.model} is {result.quantization} of {result.source}, {size:,.1f} MB."
    for text in filter(None, (result.not_evaluated, result.not_published)):
        yield f"Note: {text}."
    if result.hub_url:
        yield f"Published: {result.hub_url}"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _range(interval: tuple[float, float] | None, *, signed: bool = False) -> str:
    if interval is None:
        return ""
    low, high = (f"{bound:+.3f}" if signed else f"{bound:.3f}" for bound in interval)
    return f" ({low} … {high})"


def _approved(approval: str) -> str:
    return "" if approval == _NO_APPROVAL else f", under approval {approval}"


def uploads(address: str | None) -> str:
    """Say where examples and answers go; empty when they stay here."""
    return f" Examples and answers go to LangSmith ({address})." if address else ""
