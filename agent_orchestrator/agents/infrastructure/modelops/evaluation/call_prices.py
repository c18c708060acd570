"""What asking a model may cost at most, before anybody is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.targets.openrouter import (
    OpenRouterModels,
)
from agent_orchestrator.domain.expenses import TokenPrice
from agent_orchestrator.domain.routing import Endpoint, Provider
from agent_orchestrator.errors import ConfigurationError, UnavailableError

#: The machines are ours: their calls cost nothing.
_OWN: frozenset[Provider] = frozenset({"local", "self_hosted"})
_CHARACTERS_A_TOKEN = 2.0
"""Fewer than in any usual text or code, so that the price is not below what comes."""
_LONGEST_TOKEN = 4  # characters, in the mean
_VERDICT_TOKENS = 64
ORDERS = 2
"""A comparison is asked for in both orders."""


@dataclass(frozen=True, slots=True)
class CallCost:
    """The most that some calls may cost, USD."""

    usd: float
    assumption: str = ""
    """What was assumed, and why; empty when the prices are known."""


class CallPrices:
    """OpenRouter's prices are those of its list; for others there is a configured guess."""

    def __init__(
        self,
        openrouter: OpenRouterModels,
        *,
        usd_per_call: float,
        completion_tokens: int,
        max_turns: int = 1,
    ) -> None:
        """``usd_per_call`` is the guess; ``completion_tokens`` is the most that an answer has.

        ``max_turns`` is how often an example that brings tools may ask the model.
        """
        self._openrouter = openrouter
        self._usd_per_call = usd_per_call
        self._completion_tokens = completion_tokens
        self._max_turns = max_turns

    def most(
        self,
        endpoint: Endpoint,
        examples: Sequence[Example],
        count: int,
        *,
        completion_tokens: int | None = None,
        added_characters: int = 0,
    ) -> CallCost:
        """Return what asking a model ``count`` of the examples may cost: the longest.

        ``completion_tokens`` takes the place of the usual limit; ``added_characters`` go with every
        request (a system message). Raises InputError for a model that OpenRouter has not got.
        """
        if endpoint.provider in _OWN:
            return CallCost(0.0)
        price, why = None, "what its machine costs depends on how long it runs"
        if endpoint.provider == "openrouter":
            price, why = self._price(endpoint.model)
        if price is None:
            said = f"The price of {endpoint.model} is not known ({why}): "
            return CallCost(
                sum(nlargest(count, map(self._turns, examples))) * self._usd_per_call,
                f"{said}${self._usd_per_call:g} a call is assumed.",
            )
        answer = self._completion_tokens if completion_tokens is None else completion_tokens
        costs = (self._cost(price, example, answer, added_characters) for example in examples)
        return CallCost(sum(nlargest(count, costs)))

    def verdicts(
        self,
        endpoint: Endpoint,
        examples: Sequence[Example],
        count: int,
        *,
        answer_tokens: int | None = None,
    ) -> CallCost:
        """Return what a judge may cost that looks once at two answers to ``count`` examples.

        ``answer_tokens`` takes the place of an answer's usual limit. Raises as ``most``.
        """
        longest = self._completion_tokens if answer_tokens is None else answer_tokens
        return self.most(
            endpoint,
            examples,
            count,
            completion_tokens=_VERDICT_TOKENS,
            added_characters=2 * _LONGEST_TOKEN * longest,
        )

    def price(self, endpoint: Endpoint) -> TokenPrice | None:
        """Return what a model's tokens cost, None when nobody says. Raises as ``most``."""
        if endpoint.provider in _OWN:
            return TokenPrice(0.0, 0.0)
        return self._price(endpoint.model)[0] if endpoint.provider == "openrouter" else None

    def _turns(self, example: Example) -> int:
        return self._max_turns if example.inputs.get("tools") else 1

    def _cost(self, price: TokenPrice, example: Example, answer: int, added: int) -> float:
        """Return the most that a run on the example costs: every turn sends all before it again."""
        turns = self._turns(example)
        given = (example.messages, example.inputs.get("tools"), example.inputs.get("tool_results"))
        tokens = (len(json.dumps(given)) + added) / _CHARACTERS_A_TOKEN
        return price.of(turns * tokens + answer * turns * (turns - 1) / 2, turns * answer)

    def _price(self, model: str) -> tuple[TokenPrice | None, str]:
        """Return the listed price, or why there is none."""
        try:
            return self._openrouter.price(model), "OpenRouter's list does not say"
        except (UnavailableError, ConfigurationError):
            return None, "OpenRouter's list cannot be read"
