"""Intervals for good rates and their difference that hold at every moment they are looked at.

A confidence sequence covers the truth at all times together with probability 1 − α, so that it may
be read after every request and stopped at, unlike an interval for a planned sample. These here
depend on counts only, so they need no state of their own.

Each is what a mixture likelihood ratio does not refute. With rate p constant, the likelihood of
the outcomes under a mixture of rates (a Beta(½, ½) prior), over their likelihood under p, is a
non-negative martingale that starts at 1; by Ville's inequality it ever reaches 1/α with
probability at most α. The interval holds the p whose ratio is below 1/α. It is a betting confidence
sequence: the bets are those of the mixture.

Sources:
    Robbins, Statistical methods related to the law of the iterated logarithm (1970).
    Howard, Ramdas, McAuliffe & Sekhon, Time-uniform, nonparametric … sequences (1810.08240).
    Waudby-Smith & Ramdas, Estimating means of bounded random variables by betting (2010.09686).
    Turner & Grünwald, Exact anytime-valid confidence intervals for contingency tables (2203.09785).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from agent_orchestrator.domain.statistics import restricted_rate
from agent_orchestrator.errors import InputError

_PRIOR = 0.5
_BISECTIONS = 34  # to 1e-10


def rate_interval(good: int, n: int, alpha: float) -> tuple[float, float]:
    """Return the anytime-valid interval of a rate after ``good`` of ``n``, at level 1 − ``alpha``.

    Without data it is 0..1. Raises InputError unless 0 ≤ good ≤ n and 0 < alpha < 1.
    """
    _check(good, n, alpha)
    if not n:
        return 0.0, 1.0
    mixture = _log_mixture(good, n) + math.log(alpha)

    def refuted(rate: float) -> bool:
        return _log_likelihood(good, n, rate) <= mixture

    estimate = good / n
    return _edge(refuted, estimate, 0.0), _edge(refuted, estimate, 1.0)


def difference_interval(
    candidate_good: int, candidate_n: int, stable_good: int, stable_n: int, alpha: float
) -> tuple[float, float]:
    """Return the anytime-valid interval of candidate − stable, at level 1 − ``alpha``.

    The martingales of two arms multiply to a martingale, so all pairs of rates whose product is
    below 1/α are a confidence sequence for the pair. A difference is in the interval when some
    pair with this difference is: the pair of the largest likelihood decides (``restricted_rate``).
    Without data of an arm it is what the other's interval leaves, at most −1..1. Raises InputError
    as ``rate_interval``.
    """
    _check(candidate_good, candidate_n, alpha)
    _check(stable_good, stable_n, alpha)
    if not candidate_n or not stable_n:
        low_c, high_c = rate_interval(candidate_good, candidate_n, alpha)
        low_s, high_s = rate_interval(stable_good, stable_n, alpha)
        return low_c - high_s, high_c - low_s
    mixture = _log_mixture(candidate_good, candidate_n) + _log_mixture(stable_good, stable_n)
    rates = candidate_good / candidate_n, stable_good / stable_n

    def refuted(difference: float) -> bool:
        rate = restricted_rate(*rates, stable_n / candidate_n, difference)
        best = _log_likelihood(candidate_good, candidate_n, rate)
        best += _log_likelihood(stable_good, stable_n, rate - difference)
        return best <= mixture + math.log(alpha)

    estimate = rates[0] - rates[1]
    return _edge(refuted, estimate, -1.0), _edge(refuted, estimate, 1.0)


def _check(good: int, n: int, alpha: float) -> None:
    if not 0 <= good <= n:
        raise InputError(f"{good} good of {n}.", remedy="0 ≤ good ≤ n.")
    if not 0.0 < alpha < 1.0:
        raise InputError(f"alpha {alpha!r}.", remedy="It must lie between 0 and 1.")


def _log_mixture(good: int, n: int) -> float:
    """Log-likelihood of the outcomes under the mixture of rates."""
    return (
        math.lgamma(good + _PRIOR)
        + math.lgamma(n - good + _PRIOR)
        - math.lgamma(n + 2 * _PRIOR)
        - 2 * math.lgamma(_PRIOR)
        + math.lgamma(2 * _PRIOR)
    )


def _log_likelihood(good: int, n: int, rate: float) -> float:
    """Log-likelihood of the outcomes under a rate; rounding may take it out of 0..1."""
    return _times_log(good, rate) + _times_log(n - good, 1.0 - rate)


def _times_log(count: int, rate: float) -> float:
    if not count:
        return 0.0
    return count * math.log(rate) if rate > 0.0 else -math.inf


def _edge(refuted: Callable[[float], bool], inside: float, end: float) -> float:
    """Return where the refuted values begin between ``inside`` and ``end``; ``end`` if nowhere."""
    if not refuted(end):
        return end
    for _ in range(_BISECTIONS):
        middle = (inside + end) / 2.0
        if refuted(middle):
            end = middle
        else:
            inside = middle
    return end
