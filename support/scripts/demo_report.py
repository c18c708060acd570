"""The demo's report: one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from markupsafe import Markup

from agent_orchestrator.agents.infrastructure.modelops.backends.job_folder import JobFolder
from agent_orchestrator.agents.infrastructure.modelops.evaluation import (
    report,
    report_content,
    report_pictures,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.report_pictures import Picture
from agent_orchestrator.agents.infrastructure.modelops.reports import plots
from agent_orchestrator.agents.infrastructure.modelops.reports.rendering import render
from agent_orchestrator.agents.infrastructure.modelops.reports.wording import (
    percent,
    seconds,
    thousands,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import (
    DecisionRecord,
    RolloutReport,
)
from agent_orchestrator.domain.verdict import Verdict

_VERDICTS = {"rollback": Verdict.FAIL, "step": Verdict.PASS, "promote": Verdict.PASS}
_SHORT = {
    "start": "deployed",
    "step": "next step",
    "promote": "promoted",
    "rollback": "rolled back",
    "finish": "guard over",
}


@dataclass(frozen=True)
class RolloutSample:
    """A rollout at one moment. ``at`` is seconds since the epoch."""

    at: float
    asked: float
    realised: float | None
    evidence: dict[str, float]
    difference: dict[str, tuple[float, float]]

    @classmethod
    def of(cls, found: RolloutReport, at: float) -> Self:
        """Return what the timeline needs of a report."""
        candidate = next((arm for arm in found.arms if arm.arm == "candidate"), None)
        realised = candidate.realised_pct if candidate else None
        return cls(
            at=at,
            asked=(found.weight or 0) / 100,
            realised=None if realised is None else realised / 100,
            evidence={rail.guardrail: rail.e_value for rail in found.guardrails},
            difference={
                rail.guardrail: rail.difference for rail in found.guardrails if rail.difference
            },
        )


@dataclass
class Watch:
    """One canary as the demo saw it."""

    report: RolloutReport
    """As it ended."""
    samples: list[RolloutSample]
    requests: int
    failed: int
    candidate_requests: int
    seconds: float
    """From the deployment to the decision that ended it."""


def write_demo_report(
    path: Path,
    summary: Mapping[str, Any],
    promises: Mapping[str, bool],
    facts: Mapping[str, Any],
) -> None:
    """Write the report."""
    evaluated = report.load_report(
        Path(facts["evaluation"]["result"]["evaluation"]["reports"]["json"])
    )
    baseline = evaluated.baseline
    text = render(
        "demo.html.j2",
        folder=Path(__file__).parent,
        headline=(
            f"The {evaluated.agent} agent went from {percent(summary['baseline_accuracy'])} "
            f"to {percent(summary['candidate_accuracy'])}"
        ),
        lead=(
            "A sentence asked for a better model; it was trained, evaluated, promoted by the "
            "verdicts on real traffic, and a bad one was rolled back without help."
        ),
        kept_all=all(promises.values()),
        promises=promises,
        tiles=_tiles(summary),
        sentence=facts["sentence"],
        dataset=facts["dataset"],
        loss=_loss(facts["training"]),
        report=evaluated,
        candidate=report_content.name_of(evaluated.candidate),
        baseline=report_content.name_of(baseline) if baseline else None,
        metric_rows=report_content.metric_rows(evaluated),
        metrics=report_pictures.metrics(evaluated),
        categories=report_pictures.categories(evaluated),
        confusions=report_pictures.confusions(evaluated),
        canaries=[
            _promoted(facts["canary"], facts["canary_plan"]),
            _rolled_back(facts["bad_canary"], facts["bad_canary_plan"]),
        ],
        steps=[[step["title"], f"{step['seconds']:.1f}"] for step in summary["steps"]],
        audit=[_audit_row(entry) for entry in facts["audit"]],
    )
    path.write_text(text, encoding="utf-8")


def _tiles(summary: Mapping[str, Any]) -> list[report_content.Tile]:
    bad = summary["bad_model"]
    return [
        report_content.Tile(
            "Right answers",
            percent(summary["candidate_accuracy"]),
            f"before: {percent(summary['baseline_accuracy'])}",
        ),
        report_content.Tile(
            "Weighted improvement",
            percent(summary["improvement_pct"] / 100, signed=True),
            summary["recommendation"].replace("_", " "),
        ),
        report_content.Tile(
            "Requests served",
            thousands(summary["requests_served"]),
            f"{summary['failed_requests']} failed",
        ),
        report_content.Tile(
            "Bad model rolled back after",
            f"{bad['candidate_requests']} requests",
            seconds(bad["seconds"]),
        ),
    ]


def _loss(job: Mapping[str, Any]) -> Picture:
    losses = JobFolder(Path(job["ref"]["folder"])).progress().losses
    return Picture(Markup(plots.loss_curve(losses)), "Loss while the candidate was trained.")  # noqa: S704


@dataclass(frozen=True)
class _Canary:
    title: str
    lead: str
    plan: Picture
    timeline: Picture
    decisions: Sequence[Sequence[str]]


def _promoted(watch: Watch, plan: str) -> _Canary:
    return _canary(
        "The candidate's canary",
        f"{thousands(watch.requests)} real HTTP requests, {watch.failed} failed. Each answer was "
        "judged by the planted defect; the verdicts on them moved the traffic.",
        watch,
        plan,
    )


def _rolled_back(watch: Watch, plan: str) -> _Canary:
    return _canary(
        "A bad model on a canary",
        "Trained on shuffled labels. Its evaluation said reject, which blocked it; an approver "
        f"overrode that with a recorded reason. The traffic's verdict rolled it back after "
        f"{watch.candidate_requests} of its requests, {seconds(watch.seconds)} after the start.",
        watch,
        plan,
    )


def _canary(title: str, lead: str, watch: Watch, plan: str) -> _Canary:
    start = watch.report.decisions[0].at
    points = [
        plots.TimelinePoint(
            sample.at - start,
            sample.asked,
            sample.realised,
            sample.evidence,
            sample.difference,
        )
        for sample in watch.samples
        if sample.at >= start
    ]
    events = [
        plots.TimelineEvent(
            decision.at - start,
            _SHORT[decision.kind],
            _VERDICTS.get(decision.kind, Verdict.INCONCLUSIVE),
        )
        for decision in watch.report.decisions
        if decision.kind in _SHORT  # a drill lasts too short to be seen; the table has it
    ]
    threshold = max(rail.threshold for rail in watch.report.guardrails)
    svg = Markup(plots.canary_timeline(points, events, threshold))  # noqa: S704
    caption = (
        "The split asked and realised, the evidence against the candidate, and the difference of "
        "the arms on the guardrail with the most of it."
    )
    rows = [_decision_row(decision, start) for decision in watch.report.decisions]
    planned = "Planned before: 300 simulated canaries with the rates that the evaluation found."
    return _Canary(title, lead, Picture(Markup(plan), planned), Picture(svg, caption), rows)  # noqa: S704


def _decision_row(decision: DecisionRecord, start: float) -> list[str]:
    return [seconds(decision.at - start), decision.actor, decision.message]


def _audit_row(entry: Mapping[str, Any]) -> list[str]:
    at = datetime.fromtimestamp(entry["at"], UTC).strftime("%H:%M:%S")
    detail = ", ".join(f"{key}: {value}" for key, value in entry["detail"].items())
    return [at, entry["actor"], entry["action"].replace("_", " "), entry["subject"], detail]
