"""What people call the strategies."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args

from agent_orchestrator.domain.rollout import FULL, RolloutPolicy
from agent_orchestrator.domain.routing import Strategy
from agent_orchestrator.errors import InputError

_CANARY = re.compile(r"canary_(\d{1,3})pct")
_STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


def parse_strategy(text: str, policy: RolloutPolicy) -> tuple[Strategy, RolloutPolicy]:
    """Return the strategy, and the policy with what it means for that.

    ``immediate`` is the one step 100; ``canary_<n>pct`` starts at n and goes on with the policy's
    steps above it; a shadow's answers are also compared pair by pair. Raises InputError for an
    unknown strategy.
    """
    match = _CANARY.fullmatch(text)
    if match is not None and 1 <= int(match[1]) <= FULL:
        first = int(match[1])
        rest = (step for step in policy.steps if step > first)
        return "canary", replace(policy, steps=(first, *rest))
    for strategy in _STRATEGIES:
        if text == strategy:
            return strategy, _meant(strategy, policy)
    raise InputError(
        f"Unknown strategy {text!r}.",
        remedy=f"Use {', '.join(_STRATEGIES)}, or canary_<n>pct with n from 1 to 100.",
    )


def _meant(strategy: Strategy, policy: RolloutPolicy) -> RolloutPolicy:
    if strategy == "immediate":
        return replace(policy, steps=(FULL,))
    if strategy == "shadow" and "preference" not in policy.guardrails:
        return replace(policy, guardrails=(*policy.guardrails, "preference"))
    return policy
