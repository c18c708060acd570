"""What people call the strategies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from agent_orchestrator.domain.rollout import FULL, RolloutPolicy
from agent_orchestrator.domain.routing import Strategy
from agent_orchestrator.errors import InputError

FROM_SHARE: Final = r"canary_(\d{1,3})pct"
"""A canary that begins with this share, as a regular expression."""
DESCRIPTIONS: Final[Mapping[Strategy, str]] = {
    "canary": "Step by step, watched, rolled back by itself.",
    "blue_green": "Kept warm by copies of requests, then one switch.",
    "shadow": "Gets copies of requests only; nobody gets its answers.",
    "ab": "A fixed split, until one is proven better.",
    "champion_challenger": "Several challengers, until one beats the champion.",
    "ensemble": "All answer every request; their votes decide.",
    "immediate": "All traffic at once.",
}


def parse_strategy(text: str, policy: RolloutPolicy) -> tuple[Strategy, RolloutPolicy]:
    """Return the strategy, and the policy with what it means for that.

    ``immediate`` is the one step 100; ``canary_<n>pct`` starts at n and goes on with the policy's
    steps above it; a shadow's answers are also compared pair by pair. Raises InputError for an
    unknown strategy.
    """
    match = re.fullmatch(FROM_SHARE, text)
    if match is not None and 1 <= int(match[1]) <= FULL:
        first = int(match[1])
        rest = (step for step in policy.steps if step > first)
        return "canary", replace(policy, steps=(first, *rest))
    for strategy in DESCRIPTIONS:
        if text == strategy:
            return strategy, _meant(strategy, policy)
    raise InputError(
        f"Unknown strategy {text!r}.",
        remedy=f"Use {', '.join(DESCRIPTIONS)}, or canary_<n>pct with n from 1 to 100.",
    )


def _meant(strategy: Strategy, policy: RolloutPolicy) -> RolloutPolicy:
    if strategy == "immediate":
        return replace(policy, steps=(FULL,))
    if strategy == "shadow" and "preference" not in policy.guardrails:
        return replace(policy, guardrails=(*policy.guardrails, "preference"))
    return policy
