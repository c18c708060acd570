"""What an experiment's report says, before it is laid out: pure, from the report alone."""

from __future__ import annotations

from collections.abc import Iterator

from agent_orchestrator.agents.infrastructure.modelops.evaluation.report_content import Tile
from agent_orchestrator.agents.infrastructure.modelops.reports.wording import (
    number,
    percent,
    plural,
    seconds,
    thousands,
)
from agent_orchestrator.domain.experiments import (
    PREFERRED,
    ArmResult,
    Contrast,
    Estimate,
    ExperimentReport,
)

_SMALLEST_P = 0.0001


def first_metric(report: ExperimentReport) -> str:
    """Return the metric that the experiment is about: the first compared one that was measured."""
    wanted = report.settings.get("template", {}).get("compare") or ["accuracy"]
    measured = {metric for arm in report.arms for metric in arm.scores}
    return next((metric for metric in wanted if metric in measured), str(wanted[0]))


def ranking(report: ExperimentReport) -> list[ArmResult]:
    """Return the arms, best first in the first metric, those without it last."""
    metric = first_metric(report)

    def key(arm: ArmResult) -> tuple[bool, float]:
        found = arm.scores.get(metric)
        return found is None or not arm.compared, -(found.mean if found else 0.0)

    return sorted(report.arms, key=key)


def settled(report: ExperimentReport, arm: ArmResult) -> Contrast | None:
    """Return how an arm does against the baseline in the first metric; None for the baseline."""
    metric = first_metric(report)
    mine = (c for c in report.contrasts if c.arm == arm.name and c.metric == metric)
    return next(mine, None)


def headline(report: ExperimentReport) -> str:
    """Return what was found as a sentence."""
    better = [arm for arm in ranking(report) if _sign(settled(report, arm)) > 0]
    worse = [arm for arm in ranking(report) if _sign(settled(report, arm)) < 0]
    if len(report.arms) == 1:
        return f"{report.arms[0].name}, measured alone."
    if better:
        others = f", and {plural(len(better) - 1, 'more arm')}" if len(better) > 1 else ""
        does = "do better" if len(better) > 1 else "does better"
        return f"{better[0].name}{others} {does} than {report.baseline}."
    if worse:
        are = "is" if len(worse) == 1 else "are"
        return (
            f"Nothing does better than {report.baseline}; {plural(len(worse), 'arm')} {are} worse."
        )
    return f"No arm can be told from {report.baseline} yet."


def lead(report: ExperimentReport) -> str:
    """Return the best arm's figures, and how sure they are."""
    best, metric = ranking(report)[0], first_metric(report)
    found = best.scores.get(metric)
    asked = f"{plural(report.n_examples, 'example')} of {report.examples}"
    times = f", each asked {report.repetitions} times" if report.repetitions > 1 else ""
    if found is None:
        return f"On {asked}{times}: no {_plain(metric)} was measured."
    text = f"On {asked}{times}, {best.name} comes first with {percent(found.mean)} {_plain(metric)}"
    contrast = settled(report, best)
    if contrast is None or contrast.interval is None:
        return f"{text}."
    low, high = (number(100 * bound, 1, signed=True) for bound in contrast.interval)
    points = number(100 * contrast.difference, 1, signed=True)
    text += (
        f", {points} points beside the baseline ({low} … {high}, corrected for {_family(report)})."
    )
    if contrast.supported:
        return text
    more = contrast.examples_needed
    return f"{text} That is not settled" + (
        f"; about {thousands(more)} more examples would." if more else "."
    )


def tone(report: ExperimentReport) -> str:
    """Return the page's tone: ``good``: something is better; ``unsure``: nothing is told."""
    signs = [_sign(settled(report, arm)) for arm in report.arms]
    if any(sign > 0 for sign in signs):
        return "good"
    return "" if any(signs) or len(report.arms) == 1 else "unsure"


def tiles(report: ExperimentReport) -> list[Tile]:
    """Return the key figures."""
    calls = sum(arm.calls for arm in report.arms)
    failed = sum(arm.failed_calls for arm in report.arms)
    cached = sum(arm.cached_calls for arm in report.arms)
    costs = [arm.cost_usd for arm in report.arms]
    known = [cost for cost in costs if cost is not None]
    note = "" if len(known) == len(costs) else f"of {plural(len(known), 'arm')}"
    return [
        Tile("Arms", thousands(len(report.arms)), _arms(report)),
        Tile("Examples", thousands(report.n_examples), f"in {plural(report.n_groups, 'group')}"),
        Tile("Runs", thousands(calls), f"{thousands(cached)} kept, not timed" if cached else ""),
        Tile("Failed", thousands(failed), f"of {thousands(calls)}"),
        Tile("Cost of the answers", dollars(sum(known)) if known else "–", note),
    ]


def score_columns(report: ExperimentReport) -> list[str]:
    """Return the heads of the arms' table."""
    return ["Arm", *(f"{_title(m)} ↑" for m in metrics(report))]


def score_rows(report: ExperimentReport) -> list[list[str]]:
    """Return every arm's scores with their intervals, best first."""
    return [
        [_named(report, arm), *(_estimate(arm.scores.get(metric)) for metric in metrics(report))]
        for arm in ranking(report)
    ]


COST_COLUMNS = ["Arm", "Mean latency ↓", "Tokens a run ↓", "Cost ↓", "Failed ↓", "Kept answers"]


def cost_rows(report: ExperimentReport) -> list[list[str]]:
    """Return what every arm's answers took, with the change against the baseline."""
    base = next(arm for arm in report.arms if arm.name == report.baseline)
    return [
        [
            _named(report, arm),
            seconds(arm.avg_latency_s) + _change(arm, arm.avg_latency_s, base, base.avg_latency_s),
            thousands(arm.avg_tokens) + _change(arm, arm.avg_tokens, base, base.avg_tokens),
            dollars(arm.cost_usd) + _change(arm, arm.cost_usd, base, base.cost_usd),
            f"{thousands(arm.failed_calls)} of {thousands(arm.calls)}",
            thousands(arm.cached_calls),
        ]
        for arm in ranking(report)
    ]


CONTRAST_COLUMNS = ["Arm", "Metric", "Difference (interval)", "p", "p, corrected", "Settled"]


def contrast_rows(report: ExperimentReport) -> list[list[str]]:
    """Return every comparison with the baseline."""
    return [
        [
            found.arm,
            _plain(found.metric),
            _difference(found),
            _p(found.p_value),
            _p(found.p_adjusted),
            _verdict(found),
        ]
        for found in report.contrasts
    ]


def category_rows(report: ExperimentReport) -> tuple[list[str], list[list[str]]]:
    """Return the heads and rows of accuracy per category; no rows without categories."""
    arms = [arm.name for arm in ranking(report)]
    rows = [
        [
            category,
            thousands(report.categories.get(category)),
            *(percent(scores.get(a), 0) for a in arms),
        ]
        for category, scores in report.by_category.items()
    ]
    return ["Category", "Examples", *arms], rows if len(rows) > 1 else []


def metrics(report: ExperimentReport) -> list[str]:
    """Return the measured metrics, compared ones first."""
    measured = {metric for arm in report.arms for metric in arm.scores}
    compared = list(dict.fromkeys(c.metric for c in report.contrasts))
    first = dict.fromkeys([first_metric(report), *compared])
    return [m for m in first if m in measured] + sorted(measured - first.keys())


def circumstances(report: ExperimentReport) -> Iterator[tuple[str, str]]:
    """Yield (what, how) of the experiment, so that it can be repeated."""
    template = report.settings.get("template", {})
    yield "Examples", report.examples
    yield "SHA-256 of the examples", report.examples_hash
    yield "Repetitions", thousands(report.repetitions)
    yield "Temperature", str(template.get("temperature", "–"))
    for name, mode in (template.get("modes") or {}).items():
        said = [mode.get("system") or "", str(mode.get("body") or "")]
        limit = mode.get("max_completion_tokens")
        said.append(f"at most {limit} tokens" if limit else "")
        yield f"Mode “{name}”", "; ".join(part for part in said if part) or "the task as it is"
    judge = template.get("judge")
    if judge:
        yield "Judge", str(judge["model"])
    yield "Run at", report.run_at


def dollars(value: float | None) -> str:
    """Return an amount with as many decimals as it needs."""
    if value is None:
        return "–"
    return f"${value:.2f}" if value >= 1 or value == 0 else f"${value:.4f}"


def _sign(contrast: Contrast | None) -> int:
    if contrast is None or not contrast.supported:
        return 0
    return 1 if contrast.difference > 0 else -1


def _named(report: ExperimentReport, arm: ArmResult) -> str:
    notes = ["baseline"] if arm.name == report.baseline else []
    notes += [] if arm.compared else ["not compared: too many calls failed"]
    return f"{arm.name} ({', '.join(notes)})" if notes else arm.name


def _arms(report: ExperimentReport) -> str:
    models = len({arm.model for arm in report.arms})
    return f"{plural(models, 'model')} × {plural(len({a.mode for a in report.arms}), 'mode')}"


def _family(report: ExperimentReport) -> str:
    return plural(len(report.contrasts), "comparison")


def _title(metric: str) -> str:
    return _plain(metric).capitalize()


def _plain(metric: str) -> str:
    return "judge's preference" if metric == PREFERRED else metric.replace("_", " ")


def _estimate(found: Estimate | None) -> str:
    if found is None:
        return "–"
    if found.interval is None:
        return number(found.mean)
    low, high = (number(bound) for bound in found.interval)
    return f"{number(found.mean)} ({low} … {high})"


def _difference(found: Contrast) -> str:
    difference = number(found.difference, signed=True)
    if found.interval is None:
        return difference
    low, high = (number(bound, signed=True) for bound in found.interval)
    return f"{difference} ({low} … {high})"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return f"< {_SMALLEST_P}" if value < _SMALLEST_P else number(value, 4)


def _verdict(found: Contrast) -> str:
    if found.supported is None:
        return "no spread"
    if found.supported:
        return "better" if found.difference > 0 else "worse"
    more = found.examples_needed
    return f"no: {thousands(more)} more examples" if more else "no"


def _change(arm: ArmResult, value: float | None, base: ArmResult, before: float | None) -> str:
    if arm is base or not before or value is None:
        return ""
    return f" ({percent(value / before - 1.0, 0, signed=True)})"
