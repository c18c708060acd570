"""Differences between two models on the same examples: intervals, p-values, power, corrections.

Examples of one cluster (a source file, a task that is repeated) are not independent, so everything
rests on the cluster-robust standard error.

Sources:
    Miller, Adding Error Bars to Evals (2411.00640).
    Holm, A Simple Sequentially Rejective Multiple Test Procedure (1979).
    Newcombe, Improved confidence intervals for the difference between binomial proportions based
    on paired data (1998): of an interval that overshoots what is possible, and of cutting it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from agent_orchestrator.domain.student import t_quantile, t_test_power, two_sided_p
from agent_orchestrator.errors import InputError

Name = TypeVar("Name", bound=Hashable)

_NEGLIGIBLE = 1e-12  # rounding noise of means of scores in 0..1
_LARGEST = 10**9  # examples; nobody has more


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Mean of candidate − baseline over the same examples, with its clustered interval."""

    mean: float
    se: float | None
    """Cluster-robust standard error; None with a single cluster."""
    interval: tuple[float, float] | None
    """Two-sided confidence interval; None when the data give no standard error."""
    n: int
    n_clusters: int
    examples_needed: int | None
    """Further examples that would settle the sign if effect and clustering stay as observed; None
    when it is settled, without an interval, and for a mean of 0, which no number would settle."""

    @property
    def p_value(self) -> float | None:
        """Two-sided p-value of "the mean is 0"; None when the data give no standard error."""
        if not self.se:
            return None
        return two_sided_p(self.mean / self.se, self.n_clusters - 1)

    @property
    def supported(self) -> bool | None:
        """Whether the interval excludes 0; None without an interval."""
        if self.interval is None:
            return None
        low, high = self.interval
        return low > 0.0 or high < 0.0


def paired_difference(
    differences: Sequence[float],
    clusters: Sequence[Hashable],
    confidence: float = 0.95,
    *,
    largest: float = math.inf,
) -> PairedDifference:
    """Return the mean of ``differences`` with a t interval that is robust to clusters.

    ``clusters`` names each difference's cluster (e.g. its source file). The standard error is
    Miller's clustered one, √(Σ_clusters (Σ_i (d_i − mean))²) / n, times √(G / (G − 1)) for G
    clusters; the t distribution has G − 1 degrees of freedom. A single cluster, or clusters that do
    not vary at all, give no interval: the data do not tell how sure one may be.

    No difference is greater than ``largest``, so the interval is cut there: the true mean lies
    inside, and is covered as often as before.

    Raises InputError for no differences, a difference that is not finite, lengths that differ, or
    a confidence outside 0..1.
    """
    n = len(differences)
    if not n or n != len(clusters) or not all(map(math.isfinite, differences)):
        raise InputError(
            f"{n} differences with {len(clusters)} clusters.",
            remedy="Give one cluster for each difference, at least one, all of them finite.",
        )
    if not 0.0 < confidence < 1.0:
        raise InputError(f"Confidence {confidence!r}.", remedy="It must lie between 0 and 1.")
    mean = math.fsum(differences) / n
    residuals: defaultdict[Hashable, float] = defaultdict(float)
    for difference, cluster in zip(differences, clusters, strict=True):
        residuals[cluster] += difference - mean
    groups = len(residuals)
    if groups == 1:
        return PairedDifference(mean, None, None, n, groups, None)
    squares = math.fsum(residual**2 for residual in residuals.values())
    se = math.sqrt(squares * groups / (groups - 1)) / n
    if se <= _NEGLIGIBLE:
        return PairedDifference(mean, 0.0, None, n, groups, None)
    half = t_quantile(0.5 + confidence / 2.0, groups - 1) * se
    needed = None if abs(mean) > half else _examples_needed(mean, se, n, groups, confidence)
    interval = max(-largest, mean - half), min(largest, mean + half)
    return PairedDifference(mean, se, interval, n, groups, needed)


def _examples_needed(mean: float, se: float, n: int, groups: int, confidence: float) -> int | None:
    """Return how many more examples make the half-width smaller than the mean."""
    if abs(mean) <= _NEGLIGIBLE:
        return None

    def settles(total: int) -> bool:
        df = max(1, groups * total // n - 1)
        half = t_quantile(0.5 + confidence / 2.0, df) * se * math.sqrt(n / total)
        return abs(mean) > half

    too_few, enough = n, 2 * n
    while not settles(enough):
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if settles(middle) else (middle, enough)
    return enough - n


def clustered_error(values: Sequence[float], clusters: Sequence[Hashable]) -> float | None:
    """Return the cluster-robust standard error of the values' mean; None with one cluster.

    Raises InputError as ``paired_difference``.
    """
    return paired_difference(values, clusters).se


def holm(p_values: Mapping[Name, float], alpha: float = 0.05) -> dict[Name, float]:
    """Return the level that Holm's procedure tests each hypothesis at.

    Sorted by p, the k-th of m is tested at α / (m − k + 1) until one is not rejected; those after
    it are tested at that one's level and are not rejected either. An interval of confidence
    1 − level excludes 0 exactly where the procedure rejects; that any rejection is false has a
    probability of at most ``alpha``.
    """
    levels: dict[Name, float] = {}
    level, failed = alpha, False
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        if not failed:
            level = alpha / (len(p_values) - rank)
            failed = p_values[name] > level
        levels[name] = level
    return levels


def adjusted(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """Return Holm's adjusted p-values: the smallest α at which each would be rejected."""
    found: dict[Name, float] = {}
    least = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[name]))
        found[name] = least
    return found


@dataclass(frozen=True, slots=True)
class Paired:
    """Differences of pairs with their clusters, before they are tested."""

    differences: Sequence[float]
    clusters: Sequence[Hashable]
    largest: float = 1.0
    """How great a difference can be; of scores in 0..1 it is 1."""

    def test(self, confidence: float = 0.95) -> PairedDifference:
        """Return their mean and its interval. Raises as ``paired_difference``."""
        return paired_difference(self.differences, self.clusters, confidence, largest=self.largest)


def corrected(
    family: Mapping[Name, Paired], confidence: float = 0.95
) -> dict[Name, PairedDifference]:
    """Test several differences together: each interval has the confidence that Holm leaves it.

    What has no p-value (a single cluster, no spread) counts for nobody else. Raises as
    ``paired_difference``.
    """
    plain = {name: pairs.test(confidence) for name, pairs in family.items()}
    p_values = {name: found.p_value for name, found in plain.items() if found.p_value is not None}
    levels = holm(p_values, 1.0 - confidence)
    return {
        name: family[name].test(1.0 - levels[name]) if name in levels else plain[name]
        for name in family
    }


def power(effect: float, se: float, clusters: int, alpha: float = 0.05) -> float:
    """Return how often a true mean difference of ``effect`` would be found, given its error.

    ``se`` and the number of clusters are those of ``PairedDifference``. Raises InputError for a
    standard error that is not above 0 or fewer than two clusters.
    """
    if not se > 0.0 or clusters < 2:  # noqa: PLR2004 - one cluster has no error
        raise InputError(
            f"Standard error {se!r} of {clusters!r} clusters.",
            remedy="It must be above 0, of two clusters or more.",
        )
    return t_test_power(effect / se, clusters - 1, alpha)


def examples_for_power(
    effect: float, found: PairedDifference, wanted: float = 0.8, alpha: float = 0.05
) -> int | None:
    """Return how many examples in all would show a true difference of ``effect`` that often.

    Spread and clustering stay as they were found; None without a standard error, or for an effect
    of 0.
    """
    if not found.se or abs(effect) <= _NEGLIGIBLE:
        return None
    se, n, groups = found.se, found.n, found.n_clusters

    def enough(total: int) -> bool:
        clusters = max(2, groups * total // n)
        return power(effect, se * math.sqrt(n / total), clusters, alpha) >= wanted

    return _smallest(enough)


def _smallest(enough: Callable[[int], bool]) -> int | None:
    """Return the smallest number from 2 that is enough; None when none below a billion is."""
    too_few, high = 1, 2
    while not enough(high):
        too_few, high = high, 2 * high
        if high > _LARGEST:
            return None
    while high - too_few > 1:
        middle = (too_few + high) // 2
        too_few, high = (too_few, middle) if enough(middle) else (middle, high)
    return high
