"""Where a model can be served: the port that every kind of place implements.

A target looks before a deployment is approved (``plan``: is it there, what does it cost) and
brings the place up afterwards (``ready``), for as long as the checklist and the first traffic need
it. What it made or woke for a deployment that then fails, it puts to sleep again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent_orchestrator.domain.routing import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a deployment's candidate will be served, as planned."""

    endpoint: Endpoint
    """As models.yaml will have it; without a URL when the place is yet to be made."""
    summary: str = ""
    """A sentence for the person who approves; empty when there is nothing to say."""
    usd_per_hour: float = 0.0
    """What the place costs while it runs, whether asked or not."""
    context_tokens: int | None = None
    """What the model can read, where the place says so."""
    resolved: Mapping[str, Any] = field(default_factory=dict)
    """JSON that the approval covers besides."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """JSON, shown in the plan."""


class Target(Protocol):
    """A kind of place where models are served."""

    def plan(self, endpoint: Endpoint) -> Placement:
        """Look whether ``endpoint`` can serve its model. Changes nothing.

        Raises InputError for a model that it has not got, UnavailableError when the place does not
        answer, ConfigurationError for a key that is missing or refused.
        """

    def ready(self, placement: Placement) -> AbstractAsyncContextManager[Endpoint]:
        """Bring the place up and give the endpoint that models.yaml will have.

        Entering it again is harmless. Leaving it with an error undoes what costs money, and the
        error's remedy says so. Raises as ``plan``, and FailedError when the place cannot be had.
        """
