"""OpenRouter: a model is deployed only if the public list has it, and the list says its price."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.targets import Placement
from agent_orchestrator.agents.infrastructure.modelops.targets.model_list import (
    fetch_model_list,
    no_such_model,
)
from agent_orchestrator.domain.expenses import TokenPrice
from agent_orchestrator.domain.routing import Endpoint

KEY = "OPENROUTER_API_KEY"
_KEPT_SECONDS = 300.0
_UNREACHABLE = "Check the network and OPENROUTER_BASE_URL; try again."
#: Ways of routing that any model's id may end in; the list has the ids without them.
_ROUTING = ("nitro", "floor", "online", "exacto")


class OpenRouterModels:
    """The list of models, read when it is asked for and kept for minutes. May be shared."""

    def __init__(
        self, base_url: str, key: str | None, *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        """``base_url`` goes up to and including ``/v1``; ``timer`` counts seconds."""
        self._base_url = base_url
        self._key = key
        self._timer = timer
        self._models: Mapping[str, Mapping[str, Any]] = {}
        self._read_at: float | None = None
        self._reading = threading.Lock()

    def entry(self, model: str) -> Mapping[str, Any]:
        """Return what the list says of a model.

        Raises InputError that names near ones, and as ``fetch_model_list``.
        """
        models = self._list()
        name, _, ending = model.partition(":")
        found = models.get(model) or (models.get(name) if ending in _ROUTING else None)
        if found is None:
            remedy = "Use an id of openrouter.ai/models, or say where it lives (target)."
            raise no_such_model(model, list(models), "OpenRouter", remedy)
        return found

    def price(self, model: str) -> TokenPrice | None:
        """Return what a model's tokens cost, None when the list does not say (a router's vary).

        Raises as ``entry``.
        """
        pricing = self.entry(model).get("pricing") or {}
        try:
            price = TokenPrice(float(pricing["prompt"]), float(pricing["completion"]))
        except (KeyError, TypeError, ValueError):
            return None
        return price if min(price.prompt, price.completion) >= 0 else None

    def _list(self) -> Mapping[str, Mapping[str, Any]]:
        with self._reading:
            now = self._timer()
            if self._read_at is None or now - self._read_at > _KEPT_SECONDS:
                found = fetch_model_list(self._base_url, self._key, KEY, unreachable=_UNREACHABLE)
                self._models = found.models
                self._read_at = now
            return self._models


class OpenRouterTarget:
    """A ``Target``: nothing to bring up, only to be looked at."""

    def __init__(self, models: OpenRouterModels) -> None:
        self._models = models

    def plan(self, endpoint: Endpoint) -> Placement:
        """Find the model in the list."""
        entry = self._models.entry(endpoint.model)
        price = self._models.price(endpoint.model)
        context = entry.get("context_length")
        details: dict[str, Any] = {}
        if price is not None:
            details["price"] = (
                f"${price.prompt * 1e6:g} a million prompt tokens, "
                f"${price.completion * 1e6:g} a million completion tokens"
            )
        return Placement(
            endpoint=endpoint,
            context_tokens=context if isinstance(context, int) else None,
            details=details,
        )

    @asynccontextmanager
    async def ready(self, placement: Placement) -> AsyncIterator[Endpoint]:
        """Give it."""
        yield placement.endpoint
