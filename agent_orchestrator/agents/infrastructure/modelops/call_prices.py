"""What asking a model may cost at most, before anybody is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest

from agent_orchestrator.agents.infrastructure.modelops.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.targets.openrouter import (
    OpenRouterModels,
    Price,
)
from agent_orchestrator.domain.routing import Endpoint, Provider
from agent_orchestrator.errors import ConfigurationError, UnavailableError

#: The machines are ours: their calls cost nothing.
_OWN: frozenset[Provider] = frozenset({"local", "self_hosted"})
_CHARACTERS_A_TOKEN = 2.0
"""Fewer than in any usual text or code, so that the price is not below what comes."""


@dataclass(frozen=True, slots=True)
class CallCost:
    """The most that some calls may cost, USD."""

    usd: float
    assumption: str = ""
    """What was assumed, and why; empty when the prices are known."""


class CallPrices:
    """OpenRouter's prices are those of its list; for others there is a configured guess."""

    def __init__(
        self, openrouter: OpenRouterModels, *, usd_per_call: float, completion_tokens: int
    ) -> None:
        """``usd_per_call`` is the guess; ``completion_tokens`` is the most that an answer has."""
        self._openrouter = openrouter
        self._usd_per_call = usd_per_call
        self._completion_tokens = completion_tokens

    def most(self, endpoint: Endpoint, examples: Sequence[Example], count: int) -> CallCost:
        """Return what asking a model ``count`` of the examples may cost: the longest.

        Raises InputError for a model that OpenRouter has not got.
        """
        if endpoint.provider in _OWN:
            return CallCost(0.0)
        price, why = None, "what its machine costs depends on how long it runs"
        if endpoint.provider == "openrouter":
            price, why = self._price(endpoint.model)
        if price is None:
            said = f"The price of {endpoint.model} is not known ({why}): "
            return CallCost(
                count * self._usd_per_call,
                f"{said}${self._usd_per_call:g} a call is assumed.",
            )
        lengths = (len(json.dumps(example.messages)) for example in examples)
        characters = sum(nlargest(count, lengths))
        completions = count * self._completion_tokens
        return CallCost(price.of(characters / _CHARACTERS_A_TOKEN, completions))

    def _price(self, model: str) -> tuple[Price | None, str]:
        """Return the listed price, or why there is none."""
        try:
            return self._openrouter.price(model), "OpenRouter's list does not say"
        except (UnavailableError, ConfigurationError):
            return None, "OpenRouter's list cannot be read"
