"""Who runs the graph: the door says so in the run's configuration, never a message."""

from __future__ import annotations

from langchain_core.runnables import RunnableConfig

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.errors import Forbidden


def caller_of(config: RunnableConfig) -> Caller:
    """Return the caller that the door authenticated. Raises Forbidden when it named none.

    A client's JSON cannot make one: only a ``Caller`` that a door of this process built counts.
    """
    found = config.get("configurable", {}).get("caller")
    if not isinstance(found, Caller):
        raise Forbidden("Nobody is signed in.", remedy="Come through a door that knows you.")
    return found
