"""One model's run over the examples under LangSmith's ``aevaluate``, kept on this machine.

Three habits of the SDK (0.14) that this room knows about:

- ``upload_results=False`` alone still posts the runs. A client that samples nothing does not, and
  one that is given its ``info`` does not ask the endpoint for it either.
- It prints a line on stdout, which belongs to our caller, and draws a bar of its own on stderr.
- It logs and swallows what target and evaluators raise: a fault must not pass for a low score.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
import uuid
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from langsmith import Client, tracing_context
from langsmith.evaluation import EvaluationResult, EvaluationResults, aevaluate
from langsmith.schemas import Example as LangSmithExample
from langsmith.schemas import Run
from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import ModelAnswer

#: LangSmith's ids are UUIDs; this gives an example the same one in every experiment.
_NAMESPACE: Final = uuid.UUID("6f0c1d0e-5f0b-5f5e-9d53-0d6f1c7f0c2a")
_ID: Final = "example_id"


@dataclass(frozen=True, slots=True)
class CallFailure:
    """A call that got no answer."""

    message: str


Reply = ModelAnswer | CallFailure
_REPLY: Final[TypeAdapter[Reply]] = TypeAdapter(ModelAnswer | CallFailure)

Ask = Callable[[Example], Awaitable[Reply]]
"""Put an example to the model."""
Score = Callable[[Example, Reply], Mapping[str, float]]
"""Metric → score 0..1 of a reply; what was not measured is absent."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One row of an experiment."""

    example: Example
    reply: Reply
    scores: Mapping[str, float]
    ended_at: datetime | None = None
    """When the reply was there."""


async def run_experiment(
    name: str,
    examples: Sequence[Example],
    ask: Ask,
    score: Score,
    *,
    concurrency: int,
    metadata: Mapping[str, str],
) -> list[Scored]:
    """Put every example to a model and score its replies; return them in the examples' order.

    Example ids must be unique. Nothing is sent to LangSmith. What ``ask`` or ``score`` raise is
    raised here; no further example is asked then.
    """
    by_id = {example.id: example for example in examples}
    faults: list[Exception] = []

    async def target(inputs: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - the SDK passes both
        reply: Reply = CallFailure("not asked")
        if not faults:
            try:
                with tracing_context(enabled=False):  # what the call itself traces stays here too
                    reply = await ask(by_id[metadata[_ID]])
            except Exception as error:  # noqa: BLE001 - the SDK would swallow it; raised below
                faults.append(error)
        return {"reply": _REPLY.dump_python(reply, mode="json")}

    def evaluator(run: Run, example: LangSmithExample) -> EvaluationResults:
        results: list[EvaluationResult] = []
        try:
            scores = score(by_id[(example.metadata or {})[_ID]], _reply(run))
            results = [EvaluationResult(key=name, score=value) for name, value in scores.items()]
        except Exception as error:  # noqa: BLE001 - as above
            faults.append(error)
        return EvaluationResults(results=results)

    with _Muted():
        experiment = await aevaluate(
            target,
            data=[_langsmith_example(example) for example in examples],
            evaluators=[evaluator],
            experiment_prefix=name,
            metadata=dict(metadata),
            max_concurrency=concurrency,
            client=_silent_client(),
            upload_results=False,
            disable_evaluator_tracing=True,
            blocking=False,
        )
        await asyncio.sleep(0)  # until its task has made the progress bar
    await experiment.wait()  # unlike iteration, this passes a cancellation on
    if faults:
        raise faults[0]
    rows: dict[str, Scored] = {}
    async for row in experiment:
        example = by_id[(row["example"].metadata or {})[_ID]]
        rows[example.id] = _scored(example, row["run"], row["evaluation_results"]["results"])
    return [rows[example.id] for example in examples]


def _silent_client() -> Client:
    """Return a client that sends nothing, whatever the environment asks for."""
    return Client(
        info={}, tracing_sampling_rate=0.0, tracing_mode="langsmith", auto_batch_tracing=False
    )


def _langsmith_example(example: Example) -> LangSmithExample:
    return LangSmithExample(
        id=uuid.uuid5(_NAMESPACE, example.id),
        inputs=dict(example.inputs),
        outputs=dict(example.outputs),
        metadata={**example.metadata, _ID: example.id},
    )


def _reply(run: Run) -> Reply:
    return _REPLY.validate_python((run.outputs or {})["reply"])


def _scored(example: Example, run: Run, results: Sequence[EvaluationResult]) -> Scored:
    scores = {result.key: float(result.score) for result in results if result.score is not None}
    ended = run.end_time.replace(tzinfo=UTC) if run.end_time else None  # the SDK's are in UTC
    return Scored(example, _reply(run), scores, ended)


class _Muted:
    """Keeps stdout, stderr and the beta warning quiet while an experiment starts.

    Process-wide, as the streams are; the last of several experiments to leave restores them.
    """

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _inside: ClassVar[int] = 0
    _stack: ClassVar[contextlib.ExitStack] = contextlib.ExitStack()

    def __enter__(self) -> None:
        with _Muted._lock:
            _Muted._inside += 1
            if _Muted._inside == 1:
                _Muted._stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
                _Muted._stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
                _Muted._stack.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", ".*upload_results.*", UserWarning)

    def __exit__(self, *_: object) -> None:
        with _Muted._lock:
            _Muted._inside -= 1
            if _Muted._inside == 0:
                _Muted._stack.close()
