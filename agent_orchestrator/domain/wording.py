"""Counts and lines in sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_FORMS: Final = re.compile(r"\[(?:([^\[\]|]*)\|)?([^\[\]|]*)\]")


def counted(count: int, text: str) -> str:
    """Return the count and what it counts, in the number it asks for.

    ``text`` holds both forms where they differ, or what the plural adds:
    ``"[example holds|examples hold] secrets"`` gives "1 example holds secrets" and "2 examples
    hold secrets", ``"row[s]"`` "1 row" and "2 rows".
    """
    return f"{count} {_FORMS.sub(lambda forms: (forms[1] or '') if count == 1 else forms[2], text)}"


def lines_of(told: Iterable[str]) -> str:
    """Join lines; in Markdown, what follows a list needs an empty line to be no part of it."""
    lines: list[str] = []
    for line in told:
        if lines and lines[-1].startswith("- ") and not line.startswith("- "):
            lines.append("")
        lines.append(line)
    return "\n".join(lines)
