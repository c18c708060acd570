"""Reads a finished run, as LangSmith has it, into what the evaluators score.

No model is asked: what counts is what the run did.

- **Steps** are the nodes of the graph (a run that bears its ``langgraph_node``'s name) and the
  calls of tools. One succeeded unless it ended with an error, an interrupt, or a tool message of
  status ``error``.
- **Agents** are those of models.yaml, but for the supervisor, that ran as a node or were handed the
  work by a successful call of ``transfer_to_<agent>``.
- **Approval** was asked for when the run was interrupted for a person, called ``request_approval``,
  or was told by us that it needs one. A run with nothing beneath it recorded neither.
- **Tokens** are the sum over the model calls (of nested ones, the outermost); **latency** is from
  start to end, without the time in which it waited for a person.

A run that ended with an error has no answer, tokens or latency: to fail early is not to be quick.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.run_trees import (
    RunTree,
    TracedRun,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.traces import (
    answer_of,
    text_of,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import (
    ModelAnswer,
    Step,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.tool_replay import (
    APPROVAL,
    ROUTING,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.tool_use import (
    Call,
    tool_calls,
    words,
)

SUPERVISOR: Final = "supervisor"
_NODE: Final = "langgraph_node"
_NEEDS_APPROVAL: Final = "ApprovalRequired"


def answer(tree: RunTree, agents: Collection[str]) -> ModelAnswer:
    """Return what a finished run answered and did; ``agents`` are those there are."""
    last = tree.roots[-1]
    failed = last.error is not None
    text = "" if failed else answer_of(last.outputs) or ""
    tools = [run for run in tree.runs if run.kind == "tool"]
    steps = [run for run in tree.runs if run.kind == "tool" or _is_node(run)]
    has_parts = len(tree.runs) > len(tree.roots)
    return ModelAnswer(
        text=text,
        latency_s=None if failed else sum(_seconds(root) for root in tree.roots),
        prompt_tokens=None if failed else _tokens(tree, "prompt_tokens"),
        completion_tokens=None if failed else _tokens(tree, "completion_tokens"),
        agents=_routed(tree, agents),
        steps=tuple(Step(run.name, _succeeded(run)) for run in steps) if has_parts else None,
        tool_calls=tool_calls(list(_calls(tree, tools)), text) if has_parts else None,
        approval_asked=any(map(_asks, tree.runs)) if has_parts else None,
    )


def _seconds(run: TracedRun) -> float:
    return (run.ended - run.started).total_seconds()


def _is_node(run: TracedRun) -> bool:
    return run.name == run.metadata.get(_NODE)


def _tokens(tree: RunTree, name: Literal["prompt_tokens", "completion_tokens"]) -> int | None:
    """Return the sum over the outermost model calls; None unless each one's are known."""
    models = {run.id: run for run in tree.runs if run.kind == "llm"}
    outermost = [run for run in models.values() if models.keys().isdisjoint(run.parents)]
    counts = [getattr(run, name) for run in outermost]
    return sum(counts) if counts and None not in counts else None


def _routed(tree: RunTree, agents: Collection[str]) -> frozenset[str] | None:
    """Return the agents that the work went to; None when nothing could have routed it."""
    nodes = {run.name for run in tree.runs if _is_node(run)}
    handoffs = [run for run in tree.runs if run.kind == "tool" and run.name.startswith(ROUTING)]
    if not nodes and not handoffs:
        return None
    handed = {run.name.removeprefix(ROUTING) for run in handoffs if _succeeded(run)}
    return frozenset((nodes | handed) & set(agents)) - {SUPERVISOR}


def _asks(run: TracedRun) -> bool:
    told = run.error is not None and run.error.startswith(_NEEDS_APPROVAL)
    return run.interrupted or told or (run.kind == "tool" and run.name == APPROVAL)


def _succeeded(run: TracedRun) -> bool:
    return run.error is None and _message(run).get("status") != "error"


def _message(run: TracedRun) -> Mapping[str, Any]:
    """Return the tool message that a tool gave; what it gave when that is none."""
    output = run.outputs.get("output")
    found = output if isinstance(output, Mapping) else run.outputs
    kwargs = found.get("kwargs")
    return kwargs if isinstance(kwargs, Mapping) else found


def _calls(tree: RunTree, tools: Sequence[TracedRun]) -> Iterator[Call]:
    """Yield the calls of tools, in order of their start."""
    speaking = [run for run in tree.runs if run.kind in {"tool", "llm"}]
    uttered = sorted(
        [(run.started, run.id, run.inputs) for run in tools]
        + [(run.ended, run.id, run.outputs) for run in speaking],
        key=lambda one: one[:2],
        reverse=True,
    )
    known = set(_words(tree.roots[0].inputs))
    for run, turn in zip(tools, _turns(tree, tools), strict=True):
        while uttered and uttered[-1][0] <= run.started:
            known.update(_words(uttered.pop()[2]))
        yield Call(
            turn=turn,
            name=run.name,
            arguments=_json(run.inputs),
            result=run.error or _result(run),
            failed=not _succeeded(run),
            known=frozenset(known),
        )


def _turns(tree: RunTree, tools: Sequence[TracedRun]) -> list[int]:
    """Return how many model calls had ended before each call: those that a model asked for at once.

    Without a model, calls that overlap in time count as one turn.
    """
    thoughts = [run.ended for run in tree.runs if run.kind == "llm"]
    if thoughts:
        return [sum(ended <= run.started for ended in thoughts) for run in tools]
    return [sum(other.ended <= run.started for other in tools) for run in tools]


def _words(value: Mapping[str, Any]) -> Iterator[str]:
    return words(_json(value))


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), default=str)


def _result(run: TracedRun) -> str:
    """Return the text that a tool gave: its message's, its own, or all that it gave as JSON."""
    texts = (text_of(found) for found in (_message(run).get("content"), run.outputs.get("output")))
    return next((text for text in texts if text is not None), _json(run.outputs))
