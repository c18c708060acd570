"""An evaluation as files: JSON for machines, markdown for a pull request, HTML for people.

The HTML is one file that needs no network. Everything that a model or a data set wrote is shown as
text: escaped, cut when it is long, with invisible and reordering characters made visible.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from pydantic import TypeAdapter, ValidationError

from agent_orchestrator.agents.infrastructure.modelops import report_content as content
from agent_orchestrator.agents.infrastructure.modelops import wording
from agent_orchestrator.domain.evaluation import EvalReport
from agent_orchestrator.errors import NotFoundError, StorageError
from agent_orchestrator.stores.files import replace_atomically

_ADAPTER: Final = TypeAdapter(EvalReport)
_SHOWN_EXAMPLES: Final = 6
"""Differing examples of each kind that are shown in full."""
_TASK_CHARS: Final = 4000
_ANSWER_CHARS: Final = 2000
_SHOWN_FAILURES: Final = 20
_LINE_CHARS: Final = 200


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
    for path, text in texts.items():
        replace_atomically(path, text.encode(errors="backslashreplace"), durable=False)
    return paths


def load_report(path: Path) -> EvalReport:
    """Read a ``report.json``; NotFoundError or StorageError name what is wrong with it."""
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NotFoundError(f"There is no report {str(path)!r}.") from None
    except (OSError, ValidationError) as error:
        raise StorageError(
            f"{path} is not a report that can be read: {str(error).splitlines()[0]}.",
            remedy="Evaluate again.",
        ) from error


def render(template: str, *, folder: Path | None = None, **context: Any) -> str:
    """Return a template filled in; ``.html.j2`` escapes what it is given.

    ``folder`` holds further templates, which may extend those of ``templates/``.
    """
    return _environment(folder).get_template(template).render(**context)


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
    from agent_orchestrator.agents.infrastructure.modelops import (  # noqa: PLC0415 - matplotlib
        report_pictures as pictures,
    )

    return {
        "metrics": pictures.metrics(report),
        "categories": pictures.categories(report),
        "confusions": pictures.confusions(report),
        "latencies": pictures.latencies(report),
    }


@cache
def _environment(folder: Path | None) -> Environment:
    folders = [Path(__file__).parent / "templates", *([folder] if folder else [])]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_visible,
    )
    filters: dict[str, Callable[..., str]] = {
        "task": lambda text: wording.shortened(text, _TASK_CHARS),
        "answer": lambda text: wording.shortened(text, _ANSWER_CHARS),
        "label": wording.label,
        "thousands": wording.thousands,
        "markdown": _markdown,
        "code": _code,
        "fenced": _fenced,
    }
    environment.filters |= filters
    return environment


def _visible(value: Any) -> Any:
    """Make invisible characters visible in all that a template puts out but markup."""
    return (
        wording.visible(value)
        if isinstance(value, str) and not hasattr(value, "__html__")
        else value
    )


def _markdown(text: str) -> str:
    """Return ``text`` on one line in which nothing is markup."""
    line = re.sub(r"([\\`*_{}\[\]<>#|~&$])", r"\\\1", wording.label(text, _LINE_CHARS))
    return re.sub(r"^(\d*)([-+=.)])(?=\s|$)", r"\1\\\2", line)


def _code(text: str) -> str:
    """Return ``text`` as code on one line."""
    line = wording.label(text, _LINE_CHARS)
    ticks = "`" * (1 + _longest_run(line))
    gap = " " if line.strip("`") != line or not line else ""
    return f"{ticks}{gap}{line}{gap}{ticks}"


def _fenced(text: str) -> str:
    """Return ``text`` as a code block whose fence is longer than any in it."""
    fence = "`" * max(3, 1 + _longest_run(text))
    return f"{fence}text\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
