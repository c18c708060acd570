"""The results as a table, as JSON, and beside the goals."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from contest.contestants import Contestant
from contest.measure import Plan, Result

_BEGIN = "<!-- results: written by support/benchmarks/router.py -->"
_END = "<!-- end of results -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One contestant's result, or why there is none."""

    contestant: Contestant
    result: Result | None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """A promise and where we stand."""

    text: str
    limit: float
    at_least: bool
    value: float | None
    """None when it was not measured."""

    @property
    def met(self) -> bool | None:
        """Whether it is kept; None when it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def goals(rows: Sequence[Row]) -> list[Goal]:
    """Return where we stand."""
    results = {row.contestant.name: row.result for row in rows}

    def of(name: str, figure: Callable[[Result], float]) -> float | None:
        result = results.get(name)
        return figure(result) if result else None

    def ratio(peer: str, ours: str) -> float | None:
        theirs, own = (of(name, lambda r: r.cpu_ms.median) for name in (peer, ours))
        return theirs / own if theirs is not None and own is not None and own > 0 else None

    def added(result: Result) -> float:
        return result.added_ms["p50"].median

    def first_byte(result: Result) -> float:
        return result.first_byte_ms.median

    byte = "first byte after the upstream's, ms"
    cpu = "times the added CPU of ours"
    return [
        Goal("in process: added, p50, ms", 0.10, False, of("chef-router", added)),
        Goal(f"LiteLLM Router: {cpu}", 20, True, ratio("litellm-router", "chef-router")),
        Goal("over HTTP: added, p50, ms", 1.5, False, of("chef-gateway", added)),
        Goal(f"LiteLLM proxy: {cpu}", 10, True, ratio("litellm-proxy", "chef-gateway")),
        Goal(
            f"in process: {byte}",
            1,
            False,
            of("chef-router", first_byte),
        ),
        Goal(
            f"over HTTP: {byte}",
            1,
            False,
            of("chef-gateway", first_byte),
        ),
    ]


def document(rows: Sequence[Row], plan: Plan, load_before: float) -> dict[str, Any]:
    """Return everything as JSON."""
    return {
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "load_before": round(load_before, 2),
        },
        "plan": asdict(plan),
        "contestants": [_entry(row) for row in rows],
        "goals": [{**asdict(goal), "met": goal.met} for goal in goals(rows)],
    }


def _entry(row: Row) -> dict[str, Any]:
    contestant = row.contestant
    known = {
        "name": contestant.name,
        "title": contestant.title,
        "kind": contestant.kind,
        "version": contestant.version,
    }
    if row.result is None:
        return {**known, "missing": row.missing}
    return {**known, "result": _rounded(asdict(row.result))}


def _rounded(value: Any) -> Any:
    """Round to what the measurement can tell, a microsecond."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {key: _rounded(part) for key, part in value.items()}
    return list(map(_rounded, value)) if isinstance(value, list | tuple) else value


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ms(given: Mapping[str, float]) -> str:
    return f"{given['median']:.2f} ({given['low']:.2f}–{given['high']:.2f})"


def _split(result: Mapping[str, Any]) -> str:
    if result["split"] is None:
        return "–"
    share = 100 * result["split"][0] / sum(result["split"])
    return f"{share:.1f} (p {result['split_p_value']:.2f})"


def _memory(result: Mapping[str, Any]) -> str:
    start, end = result["memory_start_mb"], result["memory_end_mb"]
    return f"{start:.0f} → {end:.0f} after {result['requests']:,}"


_COLUMNS: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("direct p50", lambda r: f"{r['direct_ms']['p50']['median']:.2f}"),
    ("added p50", lambda r: _ms(r["added_ms"]["p50"])),
    ("added p95", lambda r: f"{r['added_ms']['p95']['median']:.2f}"),
    ("added p99", lambda r: f"{r['added_ms']['p99']['median']:.2f}"),
    ("CPU a request", lambda r: _ms(r["cpu_ms"])),
    ("first byte", lambda r: _ms(r["first_byte_ms"])),
    ("answers/s", lambda r: f"{r['per_second']['median']:.0f}"),
    ("split 80/20", _split),
    ("MiB before → after", _memory),
)


def table(report: Mapping[str, Any]) -> str:
    """Return the table in Markdown: medians over the rounds, lowest–highest in parentheses."""
    names = ["", "version", *(name for name, _ in _COLUMNS)]
    lines = [_line(names), _line(["---"] * len(names))]
    for entry in report["contestants"]:
        if "missing" in entry:
            cells = [f"not measured: {entry['missing']}"] + [""] * (len(_COLUMNS) - 1)
        else:
            cells = [show(entry["result"]) for _, show in _COLUMNS]
        lines.append(_line([entry["title"], entry["version"], *cells]))
    return "\n".join(lines)


def standing(report: Mapping[str, Any]) -> str:
    """Return the goals in Markdown."""
    lines = [_line(["Goal", "Limit", "Measured", ""]), _line(["---"] * 4)]
    for goal in report["goals"]:
        sign = "≥" if goal["at_least"] else "≤"
        value = "–" if goal["value"] is None else f"{goal['value']:.2f}"
        met = {True: "kept", False: "missed", None: "not measured"}[goal["met"]]
        lines.append(_line([goal["text"], f"{sign} {goal['limit']:g}", value, met]))
    return "\n".join(lines)


def machine(report: Mapping[str, Any]) -> str:
    """Return one line on where and how the figures were taken."""
    where, plan = report["machine"], report["plan"]
    return (
        f"{where['cores']} cores, {where['system']}, Python {where['python']}, load average "
        f"{where['load_before']:g} before the run. Milliseconds; medians of {plan['rounds']} "
        "rounds (lowest–highest)."
    )


def summary(report: Mapping[str, Any]) -> str:
    """Return everything that a reader needs, in Markdown."""
    return f"{machine(report)}\n\n{table(report)}\n\n{standing(report)}"


def with_summary(page: str, report: Mapping[str, Any]) -> str:
    """Return ``page`` with the summary between its two marks. Raises ValueError without them."""
    head, begin, rest = page.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"The page has no {_BEGIN!r} … {_END!r}.")
    return f"{head}{begin}\n\n{summary(report)}\n\n{end}{tail}"
