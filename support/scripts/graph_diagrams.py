"""Draws the graphs of support/docs/ARCHITECTURE.md from the code that runs.

``python support/scripts/graph_diagrams.py`` writes them into the page; a test compares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from agent_orchestrator.agents._shared.node import AgentNode
from agent_orchestrator.agents._shared.profile import load_profile, workers
from agent_orchestrator.agents._shared.waiting import Waiting
from agent_orchestrator.agents.infrastructure.workflows.modelops.consulting import Consulting
from agent_orchestrator.agents.infrastructure.workflows.modelops.steps import NAME, Steps
from agent_orchestrator.agents.infrastructure.workflows.modelops.workflow import build_modelops
from agent_orchestrator.agents.supervisor.routing import Supervisor
from agent_orchestrator.graph import build_graph
from agent_orchestrator.serving.chat_model import RoutedChatModel

PAGE = Path(__file__).parents[1] / "docs" / "ARCHITECTURE.md"
_NOBODY = cast("Any", None)
"""What a graph that is only drawn needs of its surroundings."""


def diagrams() -> Mapping[str, str]:
    """Return name → Mermaid: the whole graph with all agents, and the ModelOps workflow."""
    steps = Steps(use_cases=_NOBODY)
    consulting = Consulting(
        model=_NOBODY, profile=load_profile(NAME), use_cases=_NOBODY, skills=_NOBODY
    )
    unasked = RoutedChatModel.model_construct(agent=NAME)
    whole = build_graph(
        supervisor=Supervisor(model=unasked, prompt="", roster=_NOBODY),
        steps=steps,
        consulting=consulting,
        waiting=Waiting(approvals=_NOBODY),
        agents={name: AgentNode(name, _NOBODY) for name in workers()},
        checkpointer=None,
    )
    workflow = build_modelops(steps, consulting)
    return {
        "graph": whole.get_graph().draw_mermaid(with_styles=False),
        "modelops": workflow.get_graph().draw_mermaid(with_styles=False),
    }


def drawn(page: str) -> str:
    """Return the page with its diagrams as they are now."""
    for name, mermaid in diagrams().items():
        block = f"<!-- drawn: {name} -->\n```mermaid\n{mermaid.strip()}\n```"
        pattern = rf"<!-- drawn: {name} -->\n```mermaid\n.*?```"
        page, found = re.subn(pattern, lambda _, text=block: text, page, flags=re.DOTALL)  # type: ignore[misc]
        if found != 1:
            raise SystemExit(f"{PAGE.name} has {found} places for the diagram {name!r}.")
    return page


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
