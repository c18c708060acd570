"""E-processes: evidence that a candidate is worse, valid at every moment it is looked at.

An e-process is a non-negative process whose expectation is at most 1 at every stopping time as long
as the null hypothesis holds. By Ville's inequality it ever reaches 1/α with probability at most α,
so one may look after every outcome and stop when one likes. Here it is the wealth of a gambler who
starts with 1 and bets against "the candidate is not worse".

Sources:
    Turner, Ly & Grünwald, Generic E-Variables for Exact Sequential k-Sample Tests (2106.02693).
    Waudby-Smith & Ramdas, Estimating means of bounded random variables by betting (2010.09686).
    Herbster & Warmuth, Tracking the Best Expert (1998), for the reserve.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from functools import lru_cache

from agent_orchestrator.errors import InputError

#: The bets: distances in log-odds at which the candidate may lie below the stable arm, and the
#: share of the wealth that backs each. From a rate of 0.80 they lead 5, 10, 20 and 40 points down.
GAPS = (0.3, 0.55, 1.0, 1.8)
SHARES = (0.20, 0.27, 0.25, 0.28)

#: Share of the wealth that is not bet at first. A part of it is invested each round, half of it by
#: round HALF_LIFE: a prior over *when* the candidate turns bad. Without it a long healthy period
#: would ruin the gambler, and a late degradation would be seen too late.
RESERVE = 0.05
HALF_LIFE = 1000

#: The process stops here. Stopping is always allowed, and no threshold lies this high.
_ENOUGH = 1e100

PRIOR_GOOD, PRIOR_BAD = 0.9, 0.1
LEVELS_PER_UNIT = 10
_MAX_PART = 9
_SPLIT_PRIOR = 50.0
_MOST_LOG = 700.0  # beyond, exp overflows
MAX_WAITING = 4096


class _Wealth:
    """A gambler's wealth: what each bet holds, and the reserve.

    Each round multiplies every bet by a factor that is ≥ 0 and whose expectation, given the past,
    is at most 1 under the null hypothesis; moving reserve into bets changes no total. So the total
    is an e-process. It cannot underflow: the reserve falls like 1/round only.
    """

    __slots__ = ("bets", "peak", "reserve", "rounds")

    def __init__(self) -> None:
        self.bets = [(1.0 - RESERVE) * share for share in SHARES]
        self.reserve = RESERVE
        self.rounds = 0
        self.peak = 1.0

    def multiply(self, factors: Sequence[float]) -> None:
        """Play one round."""
        if self.peak >= _ENOUGH:
            return
        invested = self.reserve / (self.rounds + HALF_LIFE)
        self.reserve -= invested
        self.rounds += 1
        self.bets = [
            (bet + invested * share) * factor
            for bet, share, factor in zip(self.bets, SHARES, factors, strict=True)
        ]
        total = self.total
        if total > self.peak:  # noqa: PLR1730 - max() costs a call in the innermost loop
            self.peak = total

    @property
    def total(self) -> float:
        return sum(self.bets) + self.reserve


class TwoSampleEProcess:
    """Evidence against "the candidate's good rate is not below the stable arm's".

    Outcomes are taken in blocks of ``shape`` = (candidate, stable) outcomes, each arm's in the
    order of ``observe``. For a block with n_c and n_s outcomes and a bet (θ_c, θ_s) chosen before
    it, θ_c < θ_s, let θ_0 = (n_c θ_c + n_s θ_s) / (n_c + n_s). The factor is the likelihood ratio

        ∏ p(y_c | θ_c) / p(y_c | θ_0) · ∏ p(y_s | θ_s) / p(y_s | θ_0).

    It is an e-variable for every p_c ≥ p_s, whatever their value, which may even differ from block
    to block: an outcome with good rate p contributes the expectation 1 + (p − θ_0)(θ − θ_0) /
    (θ_0 (1 − θ_0)); for p_c = p_s the n_c + n_s contributions have the mean 1, so their product is
    at most 1 (arithmetic and geometric mean; Turner et al., theorem 1), and a larger p_c or a
    smaller p_s makes it smaller still.

    The bets are the pooled good rate of the past blocks with a prior of 0.9 good and 0.1 bad, moved
    apart by each of four gaps in log-odds so that the pooled rate stays where it is. Neither the
    validity nor the use of ``shape`` depends on how outcomes arrive: the shape may be changed at
    any time (``reshape``) and the process goes on.

    The outcomes of an arm are taken as independent given the good rate of their block. Mutable, for
    speed; the state depends only on the sequence of calls. Memory is bounded: at most 4,096
    outcomes of an arm wait for the other arm's, then the oldest is dropped, whatever it was.
    """

    __slots__ = ("_bad", "_candidate", "_good", "_stable", "_wealth", "shape")

    def __init__(self, shape: tuple[int, int]) -> None:
        self._wealth = _Wealth()
        self._candidate: deque[bool] = deque(maxlen=MAX_WAITING)
        self._stable: deque[bool] = deque(maxlen=MAX_WAITING)
        self._good, self._bad = PRIOR_GOOD, PRIOR_BAD
        self.reshape(shape)

    def reshape(self, shape: tuple[int, int]) -> None:
        """Take blocks of another shape from here on; waiting outcomes stay in line.

        Raises InputError when a part of the shape is below 1.
        """
        if min(shape) < 1:
            raise InputError(
                f"Block shape {shape!r}.", remedy="Both arms need at least one outcome a block."
            )
        self.shape = shape

    def drop_waiting(self) -> None:
        """Forget the outcomes that wait for a block, as when the question about them has changed.

        Valid as long as it depends on the past only and not on what the dropped outcomes said.
        """
        self._candidate.clear()
        self._stable.clear()

    def observe(self, candidate: bool, good: bool) -> None:
        """Take one outcome of the candidate or of the stable arm."""
        (self._candidate if candidate else self._stable).append(good)
        n_c, n_s = self.shape
        while len(self._candidate) >= n_c and len(self._stable) >= n_s:
            self._close_block(n_c, n_s)

    def _close_block(self, n_c: int, n_s: int) -> None:
        good_c = sum([self._candidate.popleft() for _ in range(n_c)])
        good_s = sum([self._stable.popleft() for _ in range(n_s)])
        level = round(math.log(self._good / self._bad) * LEVELS_PER_UNIT)
        self._wealth.multiply(block_factors(n_c, n_s, good_c, good_s, level))
        self._good += good_c + good_s
        self._bad += n_c + n_s - good_c - good_s

    @property
    def e_value(self) -> float:
        """Evidence now, 0 … 1e100 or a little more."""
        return self._wealth.total

    @property
    def peak(self) -> float:
        """Largest evidence so far: what Ville's inequality bounds, so what decides."""
        return self._wealth.peak


@lru_cache(maxsize=65536)
def block_factors(n_c: int, n_s: int, good_c: int, good_s: int, level: int) -> tuple[float, ...]:
    """Return the factor of each bet for one block.

    ``level`` is the pooled log-odds in tenths: fine beside the gaps of the bets, and coarse enough
    that most blocks have been computed before.
    """
    n = n_c + n_s
    log_odds = level / LEVELS_PER_UNIT
    factors = []
    for gap in GAPS:
        rate_c = _sigmoid(log_odds - gap * n_s / n)
        rate_s = _sigmoid(log_odds + gap * n_c / n)
        rate_0 = (n_c * rate_c + n_s * rate_s) / n
        log_ratio = (
            good_c * math.log(rate_c / rate_0)
            + (n_c - good_c) * math.log((1.0 - rate_c) / (1.0 - rate_0))
            + good_s * math.log(rate_s / rate_0)
            + (n_s - good_s) * math.log((1.0 - rate_s) / (1.0 - rate_0))
        )
        factors.append(math.exp(log_ratio))
    return tuple(factors)


class OneSampleEProcess:
    """Evidence against "the good rate is at least ``null_rate``".

    The factor of an outcome is the likelihood ratio of a lower rate θ to ``null_rate`` r. With good
    rate p its expectation is 1 + (p − r)(θ − r) / (r (1 − r)) ≤ 1 for every p ≥ r: a bet of a fixed
    fraction in the sense of Waudby-Smith & Ramdas. The bets lie four gaps in log-odds below r.

    Raises InputError unless 0 < ``null_rate`` < 1. Mutable, for speed.
    """

    __slots__ = ("_factors", "_wealth", "null_rate")

    def __init__(self, null_rate: float) -> None:
        if not 0.0 < null_rate < 1.0:
            raise InputError(
                f"Reference rate {null_rate!r}.", remedy="It must lie between 0 and 1."
            )
        self.null_rate = null_rate
        self._wealth = _Wealth()
        log_odds = math.log(null_rate / (1.0 - null_rate))
        rates = [_sigmoid(log_odds - gap) for gap in GAPS]
        self._factors = (
            tuple((1.0 - rate) / (1.0 - null_rate) for rate in rates),
            tuple(rate / null_rate for rate in rates),
        )

    def observe(self, good: bool) -> None:
        """Take one outcome."""
        self._wealth.multiply(self._factors[good])

    @property
    def e_value(self) -> float:
        """Evidence now, 0 … 1e100 or a little more."""
        return self._wealth.total

    @property
    def peak(self) -> float:
        """Largest evidence so far: what Ville's inequality bounds, so what decides."""
        return self._wealth.peak


def block_shape(weight: int) -> tuple[int, int]:
    """Return the block of (candidate, stable) outcomes that follows the candidate's ``weight``.

    20 % → (1, 4), 50 % → (1, 1), 30 % → (3, 7). The smaller part is at most 9, so that a block does
    not wait long; an odd weight such as 37 % is approximated, (7, 12). Raises InputError unless
    ``weight`` lies in 1..99: with one arm alone there is nothing to compare.
    """
    if not 1 <= weight <= 99:  # noqa: PLR2004 - percent
        raise InputError(
            f"Weight {weight!r} leaves one arm alone.", remedy="Comparing needs 1..99 percent."
        )
    small, large = sorted((weight, 100 - weight))
    ratio = large / small
    part = min(range(1, _MAX_PART + 1), key=lambda k: abs(round(k * ratio) / k - ratio))
    other = round(part * ratio)
    return (part, other) if weight == small else (other, part)


def split_evidence(counts: Sequence[int], weights: Sequence[float]) -> float:
    """Return the evidence against "the ``counts`` came from a split by ``weights``".

    An e-process: the likelihood of the counts under a mixture of splits around the asked one (a
    Dirichlet prior as firm as 50 tasks), over that under the asked one. So a sample-ratio mismatch
    may be looked for after every task: an honest split ever reaches 1/α with probability at most α,
    where a chi-square test looked at again and again would find one sooner or later (Lindon &
    Malek, Anytime-Valid Inference for Multinomial Count Data, 2011.03567). It depends on the counts
    only. An arm of weight 0 that has counts gives infinity.

    Raises InputError unless there is one weight ≥ 0 for each count, not all of them 0.
    """
    total = math.fsum(weights)
    if len(counts) != len(weights) or min(weights, default=-1) < 0 or not total:
        raise InputError(
            f"Split {list(counts)!r} against weights {list(weights)!r}.",
            remedy="Give one weight ≥ 0 for each count, not all of them 0.",
        )
    log_ratio = math.lgamma(_SPLIT_PRIOR) - math.lgamma(_SPLIT_PRIOR + sum(counts))
    for count, weight in zip(counts, weights, strict=True):
        if not weight and count:
            return math.inf
        if count:
            share = weight / total
            log_ratio += math.lgamma(_SPLIT_PRIOR * share + count)
            log_ratio -= math.lgamma(_SPLIT_PRIOR * share) + count * math.log(share)
    return math.exp(min(log_ratio, _MOST_LOG))


def _sigmoid(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds))
