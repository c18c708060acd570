"""An experiment as files: JSON for machines, markdown for a pull request, HTML for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from markupsafe import Markup
from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.experiments import content
from agent_orchestrator.agents.infrastructure.modelops.reports.rendering import render, write
from agent_orchestrator.domain.experiments import ExperimentReport

_ADAPTER: Final = TypeAdapter(ExperimentReport)


def write_experiment(report: ExperimentReport, folder: Path) -> dict[str, Path]:
    """Write ``experiment.json``, ``.md`` and ``.html`` into ``folder``; return kind → path.

    Raises StorageError when they cannot be written.
    """
    machine, markdown, page = (folder / f"experiment.{suffix}" for suffix in ("json", "md", "html"))
    context = _context(report)
    texts = {
        machine: _ADAPTER.dump_json(report, indent=2).decode() + "\n",
        markdown: render("experiment.md.j2", **context),
        page: render("experiment.html.j2", picture_of_arms=_picture(report), **context),
    }
    write(texts)
    return {"json": machine, "markdown": markdown, "html": page}


def load_experiment(path: Path) -> ExperimentReport:
    """Read an ``experiment.json``."""
    return _ADAPTER.validate_json(path.read_bytes())


def _context(report: ExperimentReport) -> dict[str, Any]:
    category_columns, category_rows = content.category_rows(report)
    return {
        "report": report,
        "tone": content.tone(report),
        "headline": content.headline(report),
        "lead": content.lead(report),
        "tiles": content.tiles(report),
        "score_columns": content.score_columns(report),
        "score_rows": content.score_rows(report),
        "cost_columns": content.COST_COLUMNS,
        "cost_rows": content.cost_rows(report),
        "contrast_columns": content.CONTRAST_COLUMNS,
        "contrast_rows": content.contrast_rows(report),
        "category_columns": category_columns,
        "category_rows": category_rows,
        "circumstances": list(content.circumstances(report)),
    }


def _picture(report: ExperimentReport) -> Markup | None:
    from agent_orchestrator.agents.infrastructure.modelops.experiments import (  # noqa: PLC0415 - matplotlib
        plots as experiment_plots,
    )

    metric = content.first_metric(report)
    if not any(metric in arm.scores for arm in report.arms):
        return None
    return Markup(experiment_plots.arms(report))  # noqa: S704 - its texts are escaped  # nosec B704
