"""The final answer of a text that reasons first: what its last ``Answer:`` line says.

Only that line counts, so that an answer which mentions the right value on the way, or lists every
value there is, has not given it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Final

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import normalised

_LINE: Final = re.compile(
    r"^[\s>*_#`-]*(?:the\s+)?(?:final\s+)?answer[\s*_`]*[:=](.*)$", re.IGNORECASE | re.MULTILINE
)
_WRAPPING: Final = " \t*_`\"'“”‘’$."
_THOUSANDS: Final = re.compile(r"(?<=\d)[,\u202f\u00a0](?=\d{3}\b)")


def final_answer(text: str) -> str | None:
    """Return the last ``Answer:`` line's value without quotes and emphasis.

    A text of a single line without the word is an answer as it is; None when a longer one has none.
    """
    found = _LINE.findall(text)
    if found:
        return str(found[-1]).strip(_WRAPPING) or None
    alone = text.strip()
    return alone.strip(_WRAPPING) or None if "\n" not in alone else None


def is_right(text: str, accepted: Iterable[str]) -> bool:
    """Return whether the final answer is one of ``accepted``: as a number, else as a word.

    Numbers compare by value (``1,000``, ``1000.0`` and ``1000`` are one); words after NFKC and case
    folding, with white space collapsed.
    """
    said = final_answer(text)
    return said is not None and any(_same(said, right) for right in accepted)


def _same(said: str, right: str) -> bool:
    number = _number(right)
    if number is not None:
        return _number(said) == number
    return normalised(said) == normalised(right)


def _number(text: str) -> Decimal | None:
    try:
        found = Decimal(_THOUSANDS.sub("", text.strip()))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None
