"""The ModelOps workflow as a diagram; what each step does stands in ``steps``.

It never waits: where it needs an approval it ends with that in the state, and is entered again at
``act`` once the whole graph's ``approve`` has seen the answer.
"""

from __future__ import annotations

from typing import Final, Literal

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agent_orchestrator.agents.infrastructure.workflows.modelops.consulting import Consulting
from agent_orchestrator.agents.infrastructure.workflows.modelops.steps import Steps
from agent_orchestrator.domain.next_steps import PRICED_FIRST
from agent_orchestrator.state import ModelOpsState

END: Final = "__end__"
"""langgraph.graph.END, as a literal."""


def build_modelops(
    steps: Steps, consulting: Consulting
) -> CompiledStateGraph[ModelOpsState, None, ModelOpsState, ModelOpsState]:
    """Return the subgraph; ``consulting`` asks a model where the parser does not understand."""
    graph = StateGraph(ModelOpsState)
    graph.add_node("parse", steps.parse)
    graph.add_node("consult", consulting.consult)
    graph.add_node("clarify", steps.clarify)
    graph.add_node("price", steps.price)
    graph.add_node("act", steps.act)
    graph.add_node("follow", steps.follow)
    graph.add_node("propose", steps.propose)

    graph.add_conditional_edges(START, entering)
    graph.add_conditional_edges("parse", after_parse)
    graph.add_conditional_edges("consult", after_consult)
    graph.add_edge("clarify", END)
    graph.add_conditional_edges("price", after_price)
    graph.add_conditional_edges("act", after_act)
    graph.add_edge("follow", "propose")
    graph.add_edge("propose", END)
    return graph.compile()


def entering(state: ModelOpsState) -> Literal["parse", "act"]:
    """Carry out what was approved, else read what was said."""
    approval = state.get("approval")
    return "act" if approval and approval["status"] == "approved" else "parse"


def after_parse(
    state: ModelOpsState,
) -> Literal["consult", "clarify", "price", "act", "follow", "__end__"]:
    """Ask a model, ask back, say a price first, act, go on following, or end."""
    if state.get("puzzled"):
        return "consult"
    if state.get("asked"):
        return "clarify"
    wish = state.get("wish")
    if wish:
        priced = wish["use_case"] in PRICED_FIRST and not wish["accepted"]
        return "price" if priced else "act"
    return "follow" if _follows(state) else END


def after_consult(state: ModelOpsState) -> Literal["price", "__end__"]:
    """What a model wishes is priced and agreed to, whatever it is."""
    return "price" if state.get("wish") else END


def after_price(state: ModelOpsState) -> Literal["act", "__end__"]:
    """Act at once where an approval asks the same question; else wait for a yes."""
    return "act" if state.get("wish") else END


def after_act(state: ModelOpsState) -> Literal["follow", "propose", "__end__"]:
    """Follow the job that was started, or propose; end where it failed or needs an approval."""
    if not state.get("done"):
        return END
    return "follow" if _follows(state) else "propose"


def _follows(state: ModelOpsState) -> bool:
    job = state.get("job")
    return job is not None and not job["ended"]
