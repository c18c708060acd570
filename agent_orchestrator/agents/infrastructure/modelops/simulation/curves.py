"""A simulated canary as points, for whoever draws it: how its runs end, and their evidence.

Importing this module loads numpy.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from agent_orchestrator.agents.infrastructure.modelops.simulation.canaries import CanaryRuns
from agent_orchestrator.agents.infrastructure.modelops.simulation.streams import (
    PROMOTION,
    ROLLBACK,
    Decisions,
    Floats,
    Ints,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.simulation import (
    CanaryCurves,
    EvidencePath,
)

_POINTS: Final = 300
"""Of a curve at most: more cannot be told apart."""


def curves(runs: CanaryRuns) -> CanaryCurves:
    """Return the points, to where nine of ten runs have ended."""
    requests = _spread(runs.paths.shape[0] + 1)
    return CanaryCurves(
        requests=requests.tolist(),
        rolled_back=_share(runs.rollout, ROLLBACK, requests),
        promoted=_share(runs.rollout, PROMOTION, requests),
        rolled_back_knowing=_share(runs.sprt, ROLLBACK, requests) if runs.sprt else None,
        threshold=runs.threshold,
        paths=[_path(path, runs.threshold) for path in runs.paths.T],
    )


def _spread(count: int) -> Ints:
    """Return about evenly spaced ones of 0 … count - 1, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, _POINTS).astype(np.int64))


def _share(decisions: Decisions, code: int, requests: Ints) -> list[float]:
    """Return the share of all runs that had come to the decision by each number of requests."""
    ends = np.sort(decisions.candidate_requests[decisions.code == code])
    ended = np.searchsorted(ends, requests, side="right")
    return [float(share) for share in ended / decisions.code.size]


def _path(path: Floats, threshold: float) -> EvidencePath:
    """Return one run's evidence, to where it reaches the threshold."""
    over = np.flatnonzero(path >= threshold)
    shown = _spread(int(over[0]) + 1 if over.size else path.size)
    return EvidencePath(
        requests=(shown + 1).tolist(), evidence=path[shown].tolist(), rolls_back=bool(over.size)
    )
