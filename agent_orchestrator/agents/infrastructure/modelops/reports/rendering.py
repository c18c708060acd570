"""Pages and markdown from templates.

Everything that a model or a data set wrote is shown as text: escaped, cut when it is long, with
invisible and reordering characters made visible.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent_orchestrator.agents.infrastructure.modelops.reports import wording
from agent_orchestrator.stores.files import replace_atomically

if TYPE_CHECKING:
    import jinja2

_TASK_CHARS: Final = 4000
_ANSWER_CHARS: Final = 2000
_LINE_CHARS: Final = 200


def render(template: str, *, folder: Path | None = None, **context: Any) -> str:
    """Return a template filled in; ``.html.j2`` escapes what it is given.

    ``folder`` holds further templates, which may extend those of ``templates/``.
    """
    return _environment(folder).get_template(template).render(**context)


def write(texts: Mapping[Path, str]) -> None:
    """Write a report's files; each is replaced whole. Raises StorageError.

    Half surrogate pairs, which a model's answer may hold and UTF-8 cannot, are written as escapes.
    """
    for path, text in texts.items():
        replace_atomically(path, text.encode(errors="backslashreplace"), durable=False)


@cache
def _environment(folder: Path | None) -> jinja2.Environment:
    import jinja2  # noqa: PLC0415 - composing the system needs no template

    folders = [Path(__file__).parent / "templates", *([folder] if folder else [])]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=jinja2.StrictUndefined,
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
