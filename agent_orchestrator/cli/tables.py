"""Tables, times and numbers for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

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


def number(value: float | None) -> str | None:
    """Return counts as whole numbers, rates and scores with three digits."""
    if value is None:
        return None
    return f"{value:.0f}" if value.is_integer() and abs(value) >= 10 else f"{value:.3f}"  # noqa: PLR2004
