"""Counts in sentences."""

from __future__ import annotations

import re
from typing import Final

_FORMS: Final = re.compile(r"\[(?:([^\[\]|]*)\|)?([^\[\]|]*)\]")


def counted(count: int, text: str) -> str:
    """Return the count and what it counts, in the number it asks for.

    ``text`` holds both forms where they differ, or what the plural adds:
    ``"[example holds|examples hold] secrets"`` gives "1 example holds secrets" and "2 examples
    hold secrets", ``"row[s]"`` "1 row" and "2 rows".
    """
    return f"{count} {_FORMS.sub(lambda forms: (forms[1] or '') if count == 1 else forms[2], text)}"
