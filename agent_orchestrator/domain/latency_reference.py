"""Whether a candidate is slower than the stable arm, as a yes-or-no question about a request.

A fixed limit says what is slow for people. It says nothing of a candidate that is three times as
slow as what serves, yet within the limit. ``LatencyReference`` learns the stable arm's latencies
and asks of each request whether it stayed within their quantile Q, for a candidate within
``tolerance`` · Q. The two-sample e-process (``eprocess``) then tests the answers.

Why that is valid: Q is *predictable*, a function of latencies before those it judges. Given the
past, a stable answer stays within with probability F_s(Q), a candidate's with F_c(tolerance · Q).
As long as the candidate is at most ``tolerance`` times as slow, F_c(tolerance · x) ≥ F_s(x) for
every x, its rate is not below the stable arm's, whatever Q is: the hypothesis that the e-process
tests, so it holds for every distribution of latencies. Q is set anew only when there are half as
many latencies again, a moment that no latency decides, and whoever tests must then drop the
outcomes that wait for a block: so no block mixes two references, or has helped to set its own.
Quantiles in anytime-valid tests are treated in Howard & Ramdas (1906.09712), counts per arm in
Lindon, Sanden & Shirikian (2205.14762).
"""

from __future__ import annotations

import math
from collections import Counter

from agent_orchestrator.errors import InputError

#: Latencies are kept as counts per bucket, each 2 % wider than the one before: bounded memory, and
#: the same whatever the order. From 0.01 ms to ten days that is about 1,250 buckets.
_GROWTH = math.log(1.02)
_LEAST_MS, _MOST_MS = 0.01, 864e6
_NEXT = 1.5


class LatencyReference:
    """The stable arm's latency at a quantile, in milliseconds, learnt as its answers come.

    Nothing is judged before ``ceil(2 / (1 − quantile))`` stable latencies: 40 for 0.95. Raises
    InputError unless 0.5 ≤ ``quantile`` < 1 and ``tolerance`` ≥ 1. Mutable, for speed; the state
    depends only on the sequence of calls.
    """

    __slots__ = ("_buckets", "_due", "_n", "limit_ms", "quantile", "tolerance")

    def __init__(self, quantile: float, tolerance: float) -> None:
        if not 0.5 <= quantile < 1.0:  # noqa: PLR2004 - the median
            raise InputError(f"Latency quantile {quantile!r}.", remedy="Use 0.5 to below 1.")
        if not (tolerance >= 1.0 and math.isfinite(tolerance)):
            raise InputError(f"Latency tolerance {tolerance!r}.", remedy="Use 1 or more.")
        self.quantile = quantile
        self.tolerance = tolerance
        self.limit_ms: float | None = None
        """The quantile now, to 1 %; None while too few latencies are known."""
        self._buckets: Counter[int] = Counter()
        self._n = 0
        self._due = math.ceil(2.0 / (1.0 - quantile) - 1e-9)

    def within(self, candidate: bool, latency_ms: float) -> bool | None:
        """Return whether an answer stayed within the reference; None while there is none."""
        if self.limit_ms is None:
            return None
        return latency_ms <= self.limit_ms * (self.tolerance if candidate else 1.0)

    def learn(self, latency_ms: float) -> bool:
        """Take a stable latency after it was judged; return whether the reference was set anew."""
        bounded = min(max(latency_ms, _LEAST_MS), _MOST_MS)
        self._buckets[math.ceil(math.log(bounded) / _GROWTH)] += 1
        self._n += 1
        if self._n < self._due:
            return False
        self._due = math.ceil(self._n * _NEXT)
        self.limit_ms = self._at_quantile()
        return True

    def _at_quantile(self) -> float:
        """Return the middle of the bucket in which the quantile lies."""
        rank = math.ceil(self.quantile * self._n)
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                break
        return math.exp((bucket - 0.5) * _GROWTH)
