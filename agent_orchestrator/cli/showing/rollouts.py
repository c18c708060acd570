"""How rollouts look, real and simulated."""

from __future__ import annotations

import click

from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    Deployed,
    DrillReport,
    RolledBack,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import (
    LatencyQuantiles,
    RolloutReport,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.simulation import CanarySimulated
from agent_orchestrator.cli.tables import clock, number, table


def show_deployed(result: Deployed) -> None:
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


def show_rollout_report(result: RolloutReport) -> None:
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
    return f", steps {' → '.join(map(str, result.steps))}" if result.steps else ""


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
                f"{number(rail.candidate_rate) or '–'} of {rail.candidate_n}",
                f"{number(rail.stable_rate) or '–'} of {rail.stable_n}",
                rail.difference and f"{rail.difference[0]:+.2f} … {rail.difference[1]:+.2f}",
                f"{rail.e_value:.3g} of {rail.threshold:.3g}",
                number(rail.lower_bound),
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


def show_rolled_back(result: RolledBack) -> None:
    if result.drill is not None:
        _show_drill(result.drill)
        return
    click.echo(
        f"{result.agent} is served by {result.version or result.model} again "
        f"after {result.seconds:.2f} s."
    )


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def show_canary_simulated(result: CanarySimulated) -> None:
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


def _quantiles(found: LatencyQuantiles) -> str:
    return " / ".join(f"{value:.0f}" for value in (found.p50, found.p95, found.p99))
