"""The four outcomes of any measurement, and how several of them combine."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """What a measurement says. "Could not measure" is neither a pass nor a fail."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


#: From best to worst. FAIL outranks ERROR: evidence of harm must not hide behind a broken probe.
_ORDER = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of ``verdicts``; nothing measured is INCONCLUSIVE."""
    return max(verdicts, key=_ORDER.index, default=Verdict.INCONCLUSIVE)
