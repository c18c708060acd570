"""What past runs teach about estimates: by how much the next one is off, and whether it is a first.

Runs are compared with those of the same backend, method and hardware only. Their ratio of actual to
estimated (uncalibrated) minutes is a factor: errors of such estimates multiply (a slower card, a
longer answer), so ratios are compared on a logarithmic scale. The median is not moved by the one
run whose machine was busy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from agent_orchestrator.domain.latencies import rank
from agent_orchestrator.domain.models import TrainingMethod

SPREAD = 2.0
"""How many times as long, or as short, an uncalibrated estimate may turn out."""
_OUTER = (0.1, 0.9)
_SIZE = re.compile(r"[-_.]\d+(\.\d+)?[bm](?=[-_.]|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A training that was completed."""

    backend: str
    method: TrainingMethod
    hardware: str
    base_model: str
    """The model that its line of versions began with."""
    estimated_minutes: float
    """Before calibration."""
    actual_minutes: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Factors on an estimate's minutes: the one to expect, and its range."""

    factor: float = 1.0
    low: float = 1.0 / SPREAD
    high: float = SPREAD
    jobs: int = 0
    """How many past runs it rests on."""


def similar(
    runs: Iterable[PastRun], *, backend: str, method: TrainingMethod, hardware: str
) -> list[PastRun]:
    """Return the runs that say something about another one of this kind."""
    kind = (backend, method, hardware)
    return [run for run in runs if (run.backend, run.method, run.hardware) == kind]


def calibrate(runs: Sequence[PastRun]) -> Calibration:
    """Return how far the estimates of ``runs`` were off.

    The range reaches from the 10 % to the 90 % quantile of the ratios, and at least
    ``2 ** (1 / sqrt(n))`` either way around the median: a factor of 2 with one run as without any,
    1.4 with four. Runs without a time are left out.
    """
    ratios = sorted(
        run.actual_minutes / run.estimated_minutes
        for run in runs
        if run.actual_minutes > 0 and run.estimated_minutes > 0
    )
    if not ratios:
        return Calibration()
    factor = math.exp(median(map(math.log, ratios)))
    least = SPREAD ** (1.0 / math.sqrt(len(ratios)))
    lowest, highest = (ratios[rank(quantile, len(ratios))] for quantile in _OUTER)
    low, high = min(lowest, factor / least), max(highest, factor * least)
    return Calibration(factor, low, high, len(ratios))


def base_family(model: str) -> str:
    """Return what models of one family share: the name without owner, size and what follows it.

    ``Qwen/Qwen2.5-Coder-7B-Instruct`` → ``qwen2.5-coder``; a name without a size stays whole.
    """
    name = model.rsplit("/", 1)[-1].lower()
    found = _SIZE.search(name)
    return name[: found.start()] if found and found.start() else name


def is_proven(
    runs: Iterable[PastRun], *, backend: str, method: TrainingMethod, base_model: str
) -> bool:
    """Return whether a run of this backend, method and family of models has ever been completed."""
    kind = (backend, method, base_family(base_model))
    return any((run.backend, run.method, base_family(run.base_model)) == kind for run in runs)
