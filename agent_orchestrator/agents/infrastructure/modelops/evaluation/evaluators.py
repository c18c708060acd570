"""Scores 0..1 of one run on one example, from what the run recorded.

Each evaluator is a pure function ``(Expectation, ModelAnswer) → score``, or None where the example
sets no expectation or the run recorded nothing to judge: what was not measured has no score.

==========================  =============================================================
accuracy                    1 when the answer is right, else 0: it passes ``outputs.tests``
                            where there are some; else its final answer is an accepted one
                            (``metadata.check: final_answer``); else it equals
                            ``outputs.answer`` after normalising
token_efficiency            min(1, target tokens / tokens used)
latency_threshold           min(1, limit / seconds)
agent_routing_accuracy      |expected ∩ actual| / |expected ∪ actual| agents
workflow_completeness       expected steps that succeeded / expected steps
mcp_integration_quality     ½ tool calls that succeeded + ¼ tool results that the answer uses
                            + ¼ failed calls that were handled; parts that do not occur are
                            left out and the rest renormalised
risk_assessment_accuracy    1 when approval was asked for exactly if required, ½ when asked
                            for needlessly, 0 when missed
code_compiles               1 when the answer's Python parses, else 0
code_lints                  max(0, 1 − findings of ruff / lines of code)
code_passes_tests           1 when the answer's Python passes ``outputs.tests``, else 0
==========================  =============================================================

Targets come from the example's metadata (``target_tokens``, ``latency_limit_s``,
``expected_agents``, ``expected_steps``, ``approval_required``), else from the configuration. An
example asks for code when its outputs have ``code`` or ``tests``. What a run did with tools is read
by ``tool_replay``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.datasets.code_tests import passes_tests
from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import (
    Example,
    normalised,
    wrong_type,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation import code_checks
from agent_orchestrator.agents.infrastructure.modelops.evaluation.final_answers import is_right
from agent_orchestrator.errors import InputError
from agent_orchestrator.stores.defaults import SandboxDefaults


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a workflow as it ended."""

    name: str
    succeeded: bool


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool as it ended."""

    name: str
    succeeded: bool
    result_used: bool | None = None
    """Whether the answer builds on the result; None when that was not recorded."""
    handled: bool | None = None
    """For a failed call: whether the run went on sensibly; None when that was not recorded."""


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A call of a tool that an answer asks for."""

    id: str
    name: str
    arguments: str
    """JSON, as the model wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """What one run answered and recorded. None: not recorded."""

    text: str
    requests: tuple[ToolRequest, ...] = ()
    """Calls that wait for their results; a finished run has none."""
    latency_s: float | None = None
    """From sending the request to the last byte, seconds."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    agents: frozenset[str] | None = None
    """Agents that the work was routed to."""
    steps: tuple[Step, ...] | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    approval_asked: bool | None = None
    cached: bool = False
    """Whether an earlier run had paid for it."""

    @property
    def total_tokens(self) -> int | None:
        """Prompt and completion; None unless both are known."""
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a run on an example should do. None: the example does not say."""

    answer: str | None = None
    final_answers: tuple[str, ...] = ()
    """Accepted final answers of a text that may reason first; empty: the whole text counts."""
    asks_for_code: bool = False
    tests: str | None = None
    """Python statements that raise nothing when the answer's code is right."""
    sandbox: SandboxDefaults = field(default_factory=SandboxDefaults)
    """Where the tests run."""
    target_tokens: float | None = None
    latency_limit_s: float | None = None
    agents: frozenset[str] | None = None
    steps: frozenset[str] | None = None
    approval_required: bool | None = None


def expectation(
    example: Example,
    *,
    target_tokens: float,
    latency_limit_s: float,
    sandbox: SandboxDefaults | None = None,
) -> Expectation:
    """Return what the example expects; the arguments are the configuration's.

    Raises DatasetError that names the metadata key with a wrong value.
    """
    meta, where = example.metadata, f"Example {example.id!r}"
    outputs = example.outputs
    tests = outputs.get("tests") or None
    if not isinstance(tests, str | None):
        raise wrong_type(where, "outputs.tests", "Python statements as one text", tests)
    return Expectation(
        answer=outputs.get("answer") or None,
        final_answers=_final_answers(example, where),
        asks_for_code=bool(outputs.get("code") or tests),
        tests=tests,
        sandbox=sandbox or SandboxDefaults(),
        target_tokens=_positive(meta, "target_tokens", where) or target_tokens,
        latency_limit_s=_positive(meta, "latency_limit_s", where) or latency_limit_s,
        agents=_names(meta, "expected_agents", where),
        steps=_names(meta, "expected_steps", where),
        approval_required=_flag(meta, "approval_required", where),
    )


# ---------------------------------------------------------------- the evaluators


def accuracy(expected: Expectation, run: ModelAnswer) -> float | None:
    """Whether the answer is right: by its tests, its final answer, or word for word."""
    if expected.tests is not None:
        return code_passes_tests(expected, run)
    if expected.final_answers:
        return float(is_right(run.text, expected.final_answers))
    if expected.answer is None:
        return None
    return float(normalised(run.text) == normalised(expected.answer))


def token_efficiency(expected: Expectation, run: ModelAnswer) -> float | None:
    """min(1, target / used), used = prompt + completion tokens."""
    if expected.target_tokens is None or not run.total_tokens:
        return None
    return min(1.0, expected.target_tokens / run.total_tokens)


def latency_threshold(expected: Expectation, run: ModelAnswer) -> float | None:
    """min(1, limit / seconds)."""
    if expected.latency_limit_s is None or run.latency_s is None:
        return None
    return (
        1.0
        if run.latency_s <= expected.latency_limit_s
        else (expected.latency_limit_s / run.latency_s)
    )


def agent_routing_accuracy(expected: Expectation, run: ModelAnswer) -> float | None:
    """Jaccard index of the expected and the actual agents."""
    if not expected.agents or run.agents is None:
        return None
    return len(expected.agents & run.agents) / len(expected.agents | run.agents)


def workflow_completeness(expected: Expectation, run: ModelAnswer) -> float | None:
    """Share of the expected steps that succeeded, a retried one by any of its tries."""
    if not expected.steps or run.steps is None:
        return None
    succeeded = {step.name for step in run.steps if step.succeeded}
    return len(expected.steps & succeeded) / len(expected.steps)


def mcp_integration_quality(_expected: Expectation, run: ModelAnswer) -> float | None:
    """Tool use: calls that succeeded, results that were used, failures that were handled."""
    calls = run.tool_calls or ()
    parts = [
        (0.5, _share(call.succeeded for call in calls)),
        (0.25, _share(call.result_used for call in calls if call.succeeded)),
        (0.25, _share(call.handled for call in calls if not call.succeeded)),
    ]
    present = [(weight, share) for weight, share in parts if share is not None]
    if not present:
        return None
    return math.fsum(w * share for w, share in present) / math.fsum(w for w, _ in present)


def risk_assessment_accuracy(expected: Expectation, run: ModelAnswer) -> float | None:
    """Whether approval was asked for exactly when required."""
    if expected.approval_required is None or run.approval_asked is None:
        return None
    if run.approval_asked == expected.approval_required:
        return 1.0
    return 0.5 if run.approval_asked else 0.0


def code_compiles(expected: Expectation, run: ModelAnswer) -> float | None:
    """Whether the answer's Python parses."""
    return float(code_checks.compiles(run.text)) if expected.asks_for_code else None


def code_lints(expected: Expectation, run: ModelAnswer) -> float | None:
    """max(0, 1 − findings / lines of code), by ruff where it is installed."""
    return code_checks.lint_score(run.text) if expected.asks_for_code else None


def code_passes_tests(expected: Expectation, run: ModelAnswer) -> float | None:
    """Whether the answer's Python passes the example's tests in the sandbox."""
    if expected.tests is None:
        return None
    return float(passes_tests(run.text, expected.tests, expected.sandbox))


Evaluator = Callable[[Expectation, ModelAnswer], float | None]

EVALUATORS: Final[Mapping[str, Evaluator]] = MappingProxyType(
    {
        evaluator.__name__: evaluator
        for evaluator in (
            accuracy,
            workflow_completeness,
            token_efficiency,
            latency_threshold,
            mcp_integration_quality,
            risk_assessment_accuracy,
            agent_routing_accuracy,
            code_compiles,
            code_lints,
            code_passes_tests,
        )
    }
)


def choose_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """Return the metrics to measure, all when ``names`` is empty; InputError for an unknown one."""
    wanted = tuple(dict.fromkeys(names))
    for name in wanted:
        if name not in EVALUATORS:
            raise InputError(f"Unknown metric {name!r}.", remedy=f"Known: {', '.join(EVALUATORS)}.")
    return wanted or tuple(EVALUATORS)


def score(
    expected: Expectation, run: ModelAnswer, metrics: Iterable[str] = tuple(EVALUATORS)
) -> dict[str, float]:
    """Return metric → score for those that were measured."""
    scores = {metric: EVALUATORS[metric](expected, run) for metric in metrics}
    return {metric: value for metric, value in scores.items() if value is not None}


def score_failed_call(expected: Expectation, metrics: Iterable[str]) -> dict[str, float]:
    """Return the scores of a call that got no answer.

    It counts as wrong, so that failing cannot raise a model's accuracy: whoever asked had no
    answer. Everything else was not measured and has no score.
    """
    says_what_is_right = expected.answer or expected.tests or expected.final_answers
    return {"accuracy": 0.0} if "accuracy" in metrics and says_what_is_right else {}


# ---------------------------------------------------------------- reading


def _share(flags: Iterable[bool | None]) -> float | None:
    known = [flag for flag in flags if flag is not None]
    return sum(known) / len(known) if known else None


def _final_answers(example: Example, where: str) -> tuple[str, ...]:
    """Return what is accepted when ``metadata.check`` says that the final answer counts."""
    check = example.metadata.get("check", "exact")
    if check not in {"exact", "final_answer"}:
        raise wrong_type(where, "metadata.check", "exact or final_answer", check)
    answer = example.outputs.get("answer")
    if check == "exact" or not answer:
        return ()
    also = example.metadata.get("accept", [])
    if not isinstance(also, list) or not all(isinstance(other, str) for other in also):
        raise wrong_type(where, "metadata.accept", "a list of texts", also)
    return (answer, *also)


def _positive(metadata: Mapping[str, Any], key: str, where: str) -> float | None:
    value = metadata.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise wrong_type(where, f"metadata.{key}", "a number above 0", value)
    return float(value)


def _names(metadata: Mapping[str, Any], key: str, where: str) -> frozenset[str] | None:
    value = metadata.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise wrong_type(where, f"metadata.{key}", "a list of names", value)
    return frozenset(value)


def _flag(metadata: Mapping[str, Any], key: str, where: str) -> bool | None:
    value = metadata.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise wrong_type(where, f"metadata.{key}", "true or false", value)
