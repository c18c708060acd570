"""An evaluation as files: JSON for machines, markdown for a pull request, HTML for people.

The HTML is one file that needs no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup
from pydantic import TypeAdapter, ValidationError

from agent_orchestrator.agents.infrastructure.modelops.evaluation import report_content as content
from agent_orchestrator.agents.infrastructure.modelops.reports.rendering import render, write
from agent_orchestrator.domain.evaluation import EvalReport
from agent_orchestrator.errors import NotFoundError, StorageError

_ADAPTER: Final = TypeAdapter(EvalReport)
_SHOWN_EXAMPLES: Final = 6
"""Differing examples of each kind that are shown in full."""
_SHOWN_FAILURES: Final = 20


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """Where a report lies."""

    json: Path
    markdown: Path
    html: Path


@dataclass(frozen=True, slots=True)
class Section:
    """A further section of a report."""

    title: str
    html: Markup
    """Trusted."""
    markdown: str = ""


def write_report(
    report: EvalReport, folder: Path, *, sections: Sequence[Section] = ()
) -> ReportPaths:
    """Write ``report.json``, ``report.md`` and ``report.html`` into ``folder``.

    Raises StorageError when they cannot be written.
    """
    paths = ReportPaths(folder / "report.json", folder / "report.md", folder / "report.html")
    context = {"report": report, "sections": sections, **_context(report)}
    texts = {
        paths.json: _ADAPTER.dump_json(report, indent=2).decode() + "\n",
        paths.markdown: render("evaluation.md.j2", **context),
        paths.html: render("evaluation.html.j2", pictures=_pictures(report), **context),
    }
    write(texts)
    return paths


def load_report(path: Path) -> EvalReport:
    """Read a ``report.json``; NotFoundError or StorageError name what is wrong with it."""
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NotFoundError(
            f"There is no report {str(path)!r}.", remedy="Evaluate again."
        ) from None
    except (OSError, ValidationError) as error:
        raise StorageError(
            f"{path} is not a report that can be read: {str(error).splitlines()[0]}.",
            remedy="Evaluate again.",
        ) from error


def _context(report: EvalReport) -> dict[str, Any]:
    differing = content.differing(report)
    failed = content.failed_calls(report)
    return {
        "candidate": content.name_of(report.candidate),
        "baseline": content.name_of(report.baseline) if report.baseline else None,
        "recommendation": report.comparison.recommendation,
        "headline": content.headline(report),
        "lead": content.lead(report),
        "tiles": content.tiles(report),
        "metric_rows": content.metric_rows(report),
        "expense_columns": content.EXPENSE_COLUMNS,
        "expense_rows": content.expense_rows(report),
        "categories": content.examples_by_category(report),
        "candidate_accuracy": content.accuracy_by_category(report.candidate),
        "baseline_accuracy": content.accuracy_by_category(report.baseline),
        "differing": {
            kind: [example for example in differing if example.kind == kind]
            for kind in ("lost", "won", "other")
        },
        "shown_examples": _SHOWN_EXAMPLES,
        "failed": failed[:_SHOWN_FAILURES],
        "failed_total": len(failed),
        "circumstances": list(content.circumstances(report)),
    }


def _pictures(report: EvalReport) -> dict[str, Any]:
    from agent_orchestrator.agents.infrastructure.modelops.evaluation import (  # noqa: PLC0415 - matplotlib
        report_pictures as pictures,
    )

    return {
        "metrics": pictures.metrics(report),
        "categories": pictures.categories(report),
        "confusions": pictures.confusions(report),
        "latencies": pictures.latencies(report),
    }
