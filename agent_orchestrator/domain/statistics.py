"""Tests that are looked at when planned: non-inferiority and the realised split.

What may be looked at after every outcome is in ``eprocess``, paired differences are in ``paired``.

Sources:
    Lan & DeMets, Discrete sequential boundaries for clinical trials (1983).
    Armitage, McPherson & Rowe, Repeated significance tests on accumulating data (1969).
    Jennison & Turnbull, Group Sequential Methods with Applications to Clinical Trials (1999).
    Farrington & Manning, Test statistics … of non-zero risk difference (1990).
    Abramowitz & Stegun, Handbook of Mathematical Functions (1964).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from agent_orchestrator.errors import InputError

_NORMAL = NormalDist()
_SQRT2 = math.sqrt(2.0)

MAX_LOOKS = 20
_TAIL = 7.5  # standard deviations; beyond lies 3e-14 of the normal distribution
_WIDEST = 50.0  # no boundary of a sum of at most 20 increments lies further out
_STEP = 0.2  # of the quadrature, in standard deviations of one increment
_BISECTIONS = 80


# --- group-sequential non-inferiority of two good rates -------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    """One planned look at the difference candidate − stable of two good rates."""

    look: int
    """1 … looks."""
    z: float
    """Score statistic of "the candidate is worse by the margin"; large is good."""
    boundary: float
    """What ``z`` has to reach at this look."""
    lower_bound: float
    """Lower confidence bound of the difference, valid at all looks together."""
    passed: bool


def non_inferiority_look(
    candidate_good: int,
    candidate_n: int,
    stable_good: int,
    stable_n: int,
    *,
    margin: float,
    look: int,
    looks: int,
    alpha: float,
) -> Look:
    """Look whether the candidate's good rate is above the stable arm's minus ``margin``.

    A candidate worse by ``margin`` passes any of the ``looks`` (equally spaced in data) with
    probability ``alpha``, one-sided. The variance is estimated under the hypothesis that is tested
    (Farrington & Manning), so that two arms without a single bad outcome pass only when there are
    enough of them. Raises InputError for counts or a look that cannot be.
    """
    for arm, good, n in (
        ("candidate", candidate_good, candidate_n),
        ("stable", stable_good, stable_n),
    ):
        if not 0 <= good <= n or n == 0:
            raise InputError(f"The {arm} has {good} good of {n}.", remedy="0 ≤ good ≤ n, n > 0.")
    if not 1 <= look <= looks:
        raise InputError(f"Look {look} of {looks}.", remedy="Looks are numbered from 1.")
    boundary = obrien_fleming_boundaries(looks, alpha)[look - 1]
    rates = candidate_good / candidate_n, stable_good / stable_n

    def z(difference: float) -> float:
        return _score_statistic(*rates, candidate_n, stable_n, difference)

    return Look(
        look=look,
        z=z(-margin),
        boundary=boundary,
        lower_bound=root(lambda d: z(d) - boundary, -1.0, rates[0] - rates[1]),
        passed=z(-margin) >= boundary,
    )


def non_inferiority_passes(
    candidate_good: int,
    candidate_n: int,
    stable_good: int,
    stable_n: int,
    *,
    margin: float,
    boundary: float,
) -> bool:
    """Return whether ``non_inferiority_look`` passes, without its bound: for simulations."""
    rates = candidate_good / candidate_n, stable_good / stable_n
    return _score_statistic(*rates, candidate_n, stable_n, -margin) >= boundary


def _score_statistic(rate_1: float, rate_2: float, n_1: int, n_2: int, difference: float) -> float:
    """Z of the hypothesis p₁ − p₂ = ``difference``, with the variance restricted to it."""
    p_1 = restricted_rate(rate_1, rate_2, n_2 / n_1, difference)
    p_2 = p_1 - difference
    variance = p_1 * (1.0 - p_1) / n_1 + p_2 * (1.0 - p_2) / n_2
    excess = rate_1 - rate_2 - difference
    if variance <= 0.0:
        return math.copysign(math.inf, excess) if excess else 0.0
    return excess / math.sqrt(variance)


def restricted_rate(rate_1: float, rate_2: float, ratio: float, difference: float) -> float:
    """Return the maximum-likelihood p₁ subject to p₁ − p₂ = ``difference``; ``ratio`` = n₂ / n₁.

    The likelihood equation is a cubic; this is its root in the permitted range (Farrington &
    Manning 1990, appendix).
    """
    a = 1.0 + ratio
    b = -(1.0 + ratio + rate_1 + ratio * rate_2 + difference * (ratio + 2.0))
    c = difference**2 + difference * (2.0 * rate_1 + ratio + 1.0) + rate_1 + ratio * rate_2
    d = -rate_1 * difference * (1.0 + difference)
    v = b**3 / (27.0 * a**3) - b * c / (6.0 * a**2) + d / (2.0 * a)
    u = math.copysign(math.sqrt(max(0.0, b**2 / (9.0 * a**2) - c / (3.0 * a))), v)
    w = (math.pi + math.acos(max(-1.0, min(1.0, v / u**3)))) / 3.0 if u else 0.0
    root = 2.0 * u * math.cos(w) - b / (3.0 * a)
    return max(0.0, difference, min(1.0, 1.0 + difference, root))


@lru_cache(maxsize=64)
def obrien_fleming_boundaries(looks: int, alpha: float) -> tuple[float, ...]:
    """Return the z that each of ``looks`` equally spaced looks needs, one-sided level ``alpha``.

    Lan & DeMets' spending function of the O'Brien–Fleming type, α(t) = 2 − 2 Φ(z_{α/2} / √t): each
    boundary makes the chance to cross it first equal to what this look may spend. The distribution
    of the sum of increments that has crossed none is carried from look to look by Simpson's rule
    (Armitage, McPherson & Rowe). Raises InputError unless 1 ≤ looks ≤ 20 and 0 < alpha < 0.5.
    """
    if not 1 <= looks <= MAX_LOOKS:
        raise InputError(f"{looks!r} looks.", remedy=f"Plan 1 to {MAX_LOOKS} looks.")
    if not 0.0 < alpha < 0.5:  # noqa: PLR2004 - beyond, the test is not one
        raise InputError(f"alpha {alpha!r}.", remedy="It must lie between 0 and 0.5.")
    boundaries: list[float] = []
    points, masses = [0.0], [1.0]  # before the first look the sum is 0
    spent = 0.0
    for look in range(1, looks + 1):
        target = 2.0 * _upper_tail(-_NORMAL.inv_cdf(alpha / 2.0) / math.sqrt(look / looks))
        bound = _bound(points, masses, target - spent)
        spent = target
        boundaries.append(bound / math.sqrt(look))
        points, masses = _below(points, masses, bound, look)
    return tuple(boundaries)


def _bound(points: Sequence[float], masses: Sequence[float], probability: float) -> float:
    """Return what the next sum exceeds with ``probability``."""

    def excess(bound: float) -> float:
        tails = [m * _upper_tail(bound - s) for s, m in zip(points, masses, strict=True)]
        return math.fsum(tails) - probability

    return root(excess, -_WIDEST, _WIDEST)


def _below(
    points: Sequence[float], masses: Sequence[float], bound: float, look: int
) -> tuple[list[float], list[float]]:
    """Return the distribution of the next sum below ``bound``, as points with Simpson's weights."""
    low = -_TAIL * math.sqrt(look)
    high = min(bound, -low)
    steps = 2 * math.ceil((high - low) / (2.0 * _STEP))
    width = (high - low) / steps
    after = [low + i * width for i in range(steps + 1)]
    scale = width / 3.0 / math.sqrt(2.0 * math.pi)
    weights = [scale * (1 if i in (0, steps) else 4 if i % 2 else 2) for i in range(steps + 1)]
    pairs = list(zip(points, masses, strict=True))
    return after, [
        weight * sum([mass * math.exp(-0.5 * (x - point) ** 2) for point, mass in pairs])
        for x, weight in zip(after, weights, strict=True)
    ]


def _upper_tail(z: float) -> float:
    return 0.5 * math.erfc(z / _SQRT2)


def root(decreasing: Callable[[float], float], low: float, high: float) -> float:
    """Return where ``decreasing`` crosses 0 between ``low`` and ``high``, by bisection."""
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        if decreasing(middle) > 0.0:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


# --- realised split, one rate ---------------------------------------------------------------------


def srm_p_value(counts: Sequence[int], weights: Sequence[float]) -> float:
    """Return the p-value of "the ``counts`` came from a split by ``weights``".

    Pearson's chi-square test for a sample-ratio mismatch; an arm of weight 0 that has counts gives
    0, nothing counted gives 1. Raises InputError unless there is one weight ≥ 0 for each count.
    """
    if len(counts) != len(weights) or min(weights, default=-1) < 0 or not sum(weights):
        raise InputError(
            f"Split {list(counts)!r} against weights {list(weights)!r}.",
            remedy="Give one weight ≥ 0 for each count, not all of them 0.",
        )
    total = sum(counts)
    if any(count for count, weight in zip(counts, weights, strict=True) if not weight):
        return 0.0
    if not total:
        return 1.0
    scale = total / sum(weights)
    cells = [(n, weight * scale) for n, weight in zip(counts, weights, strict=True) if weight]
    statistic = math.fsum((n - expected) ** 2 / expected for n, expected in cells)
    return _chi_square_tail(statistic, len(cells) - 1)


def wilson_lower_bound(good: int, n: int, alpha: float) -> float:
    """Return the one-sided lower confidence bound of a rate of ``good`` in ``n`` (Wilson 1927).

    The rate is below it with probability ``alpha``, approximately. Raises InputError unless
    0 ≤ good ≤ n and n > 0.
    """
    if not 0 <= good <= n or n == 0:
        raise InputError(f"{good} good of {n}.", remedy="0 ≤ good ≤ n, n > 0.")
    z = -_NORMAL.inv_cdf(alpha)
    rate = good / n
    spread = z * math.sqrt(rate * (1.0 - rate) / n + (z / (2 * n)) ** 2)
    return max(0.0, (rate + z**2 / (2 * n) - spread) / (1.0 + z**2 / n))


def _chi_square_tail(x: float, df: int) -> float:
    """P(χ² ≥ x), by Q(a + 1, y) = Q(a, y) + yᵃ e⁻ʸ / Γ(a + 1) from a = ½ or 1 (A&S 6.5.21)."""
    if df == 0 or x <= 0.0:
        return 1.0
    y = x / 2.0
    a, tail = (0.5, math.erfc(math.sqrt(y))) if df % 2 else (1.0, math.exp(-y))
    while a < df / 2.0:
        tail += math.exp(a * math.log(y) - y - math.lgamma(a + 1.0))
        a += 1.0
    return min(1.0, tail)
