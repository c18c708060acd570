"""Numbers and foreign text as a report shows them."""

from __future__ import annotations

import unicodedata
from typing import Final

#: Unicode categories whose characters reorder, hide or overwrite what stands beside them.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Those that do not: joiners belong to words and emoji.
_HARMLESS: Final = frozenset("\n\t\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}")
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_MINUTE: Final = 120.0


def number(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """Return ``0.947``, or ``+0.333`` when signed; an en dash for what was not measured."""
    if value is None:
        return "–"
    value = round(value, digits) + 0.0  # no negative zero
    return f"{value:{'+' if signed and value else ''}.{digits}f}".replace("-", "−")


def percent(value: float | None, digits: int = 1, *, signed: bool = False) -> str:
    """Return a share 0..1 as ``94.7 %``."""
    return "–" if value is None else number(100.0 * value, digits, signed=signed) + f"{_NO_BREAK}%"


def seconds(value: float | None) -> str:
    """Return a duration as ``3 ms``, ``0.25 s`` or ``4.2 min``."""
    if value is None:
        return "–"
    if value < 0.1:  # noqa: PLR2004
        return f"{1000.0 * value:.3g}{_NO_BREAK}ms"
    if value < _MINUTE:
        return f"{value:.3g}{_NO_BREAK}s"
    return f"{value / 60.0:.3g}{_NO_BREAK}min"


def thousands(value: float | None) -> str:
    """Return ``12 345`` with thin spaces."""
    return "–" if value is None else f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def plural(count: int, noun: str) -> str:
    """Return ``1 call``, ``3 calls``."""
    return f"{thousands(count)} {noun if count == 1 else noun + 's'}"


def visible(text: str) -> str:
    """Return ``text`` with what cannot be seen, or reorders what is beside it, made visible."""
    return "".join(
        c if c in _HARMLESS or unicodedata.category(c) not in _UNSEEN else f"⟨U+{ord(c):04X}⟩"
        for c in text.replace("\r\n", "\n")
    )


def shortened(text: str, limit: int) -> str:
    """Return at most ``limit`` characters of ``text``, and how many more there are."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({thousands(len(text) - limit)} more characters)"


def label(text: str, limit: int = 28) -> str:
    """Return ``text`` as a short label on one line."""
    line = " ".join(visible(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
