"""Student's t distribution: quantiles, p-values, and the power of a t test.

Sources:
    Abramowitz & Stegun, Handbook of Mathematical Functions (1964), 26.7.
    Johnson, Kotz & Balakrishnan, Continuous Univariate Distributions 2 (1995), 31.1.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

from agent_orchestrator.domain.statistics import root
from agent_orchestrator.errors import InputError

_NORMAL = NormalDist()
_EXACT_DF = 200
_STEPS = 400  # of Simpson's rule over the spread's distribution
_WIDTH = 9.0  # standard deviations of the spread that are integrated over


@lru_cache(maxsize=1024)
def t_quantile(p: float, df: int) -> float:
    """Return the ``p`` quantile of Student's t with ``df`` degrees of freedom.

    Up to 200 degrees by bisection of the exact distribution (A&S 26.7.3–4), beyond by the expansion
    A&S 26.7.5, whose error is then below 1e-9. Raises InputError unless 0 < p < 1 and df ≥ 1.
    """
    if not 0.0 < p < 1.0 or df < 1:
        raise InputError(f"Quantile {p!r} of t with {df!r} degrees.", remedy="0 < p < 1, df ≥ 1.")
    if p < 0.5:  # noqa: PLR2004 - the middle
        return -t_quantile(1.0 - p, df)
    z = _NORMAL.inv_cdf(p)
    if df > _EXACT_DF:
        return (
            z
            + (z**3 + z) / (4 * df)
            + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
            + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * df**3)
            + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * df**4)
        )
    inside = 2.0 * p - 1.0
    # θ = atan(t / √df) runs over a finite range whatever the quantile.
    angle = root(lambda theta: inside - _inside(theta, df), 0.0, math.pi / 2.0)
    return math.tan(angle) * math.sqrt(df)


def _inside(theta: float, df: int) -> float:
    """P(|T| ≤ t) for t = √df · tan θ, a finite sum (A&S 26.7.3 for odd df, 26.7.4 for even)."""
    cosine, sine = math.cos(theta), math.sin(theta)
    odd = df % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(1 + odd, df, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    return 2.0 / math.pi * (theta + sine * total) if odd else sine * total


def two_sided_p(t: float, df: int) -> float:
    """Return P(|T| ≥ |t|) with ``df`` degrees of freedom. Raises InputError unless df ≥ 1."""
    if df < 1 or math.isnan(t):
        raise InputError(f"t = {t!r} with {df!r} degrees.", remedy="Give a number, and df ≥ 1.")
    return max(0.0, 1.0 - _inside(math.atan(abs(t) / math.sqrt(df)), df))


def t_test_power(noncentrality: float, df: int, alpha: float = 0.05) -> float:
    """Return how often a two-sided t test at level ``alpha`` rejects.

    ``noncentrality`` δ is the true effect over its standard error. T is (Z + δ) / S with
    S² = χ²(df) / df, so the power is the mean over S of Φ(δ − t S) + Φ(−δ − t S): by Simpson's rule
    over √S, which is finer near 0, where few degrees put the mass. Raises InputError as
    ``t_quantile``.
    """
    critical = t_quantile(1.0 - alpha / 2.0, df)
    spread = 1.0 / math.sqrt(2.0 * df)  # of S, nearly
    low, high = math.sqrt(max(0.0, 1.0 - _WIDTH * spread)), math.sqrt(1.0 + _WIDTH * spread)
    width = (high - low) / _STEPS
    log_norm = (df / 2.0) * math.log(df / 2.0) - math.lgamma(df / 2.0) + math.log(2.0)

    def rejected(u: float) -> float:
        if u <= 0.0:
            return 0.0
        s = u * u
        density = math.exp(log_norm + (df - 1) * math.log(s) - df * s * s / 2.0) * 2.0 * u
        shift = critical * s
        return density * (_NORMAL.cdf(noncentrality - shift) + _NORMAL.cdf(-noncentrality - shift))

    weights = (1 if i in {0, _STEPS} else 4 if i % 2 else 2 for i in range(_STEPS + 1))
    total = math.fsum(w * rejected(low + i * width) for i, w in enumerate(weights))
    return min(1.0, total * width / 3.0)
