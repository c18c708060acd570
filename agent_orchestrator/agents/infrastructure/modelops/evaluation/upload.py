"""A finished evaluation as experiments in LangSmith.

The evaluation itself runs on this machine and is kept here first (``experiments``); only then is it
uploaded, so that a slow or broken LangSmith costs neither a call nor a result. What arises there is
what LangSmith's own ``evaluate`` and ``evaluate_comparative`` make: the data set (found by its
content's hash, else created), a project for each arm with one run an example and its scores, and a
comparative experiment that says for each example which arm was the more correct one.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlencode

from langsmith import Client, uuid7_from_datetime
from langsmith.schemas import Dataset as LangSmithDataset
from langsmith.schemas import TracerSession
from langsmith.utils import LangSmithConflictError, LangSmithError

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import Dataset
from agent_orchestrator.domain.evaluation import CallRecord, EvalReport, ModelResult, by_example
from agent_orchestrator.errors import UpstreamError

Arm = Literal["candidate", "baseline"]

EXPERIMENT_TYPE: Final = "baseline_vs_candidate"
"""Of evaluations; experiments by template have ``MODELS_COMPARED``."""
MODELS_COMPARED: Final = "model_comparison"
TAGGED: Final = ("agent", "model_version", "experiment_type")
"""Metadata of an experiment that are its runs' tags too."""
PREFERENCE: Final = "more_correct"
"""Feedback key of the comparative experiment: 1 for the arm that was right, ½ each for a tie."""
_CORRECTNESS: Final = ("accuracy", "agent_routing_accuracy")
_BATCH: Final = 100
_CONNECT_MS: Final = 5_000
_READ_MS: Final = 30_000
_PARALLEL: Final = 8


@dataclass(frozen=True, slots=True)
class LangSmithAccount:
    """Where experiments go."""

    endpoint: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleSet:
    """The examples that were asked, and the set that they are of."""

    name: str
    hash: str
    """By which LangSmith's data set is found again."""
    agent: str
    origin: str
    examples: Sequence[Example]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedExperiment:
    """One arm's calls."""

    name: str
    """What its project's name begins with."""
    run_name: str
    description: str
    calls: Sequence[CallRecord]
    """A repeated example has several, under its id."""
    metadata: Mapping[str, str]
    """What tells it, and each of its runs, from others; ``TAGGED`` keys become tags."""
    repetitions: int = 1

    @property
    def evaluators(self) -> list[str]:
        """The keys of its scores."""
        return sorted({key for call in self.calls for key in call.scores})


@dataclass(frozen=True, slots=True)
class UploadedExperiment:
    """One arm as LangSmith has it."""

    project: TracerSession
    runs: Mapping[str, Sequence[uuid.UUID]]
    """Example id → its runs, in order of the repetitions."""


def upload_evaluation(
    account: LangSmithAccount, report: EvalReport, dataset: Dataset, job_id: str
) -> str:
    """Upload a report's experiments; return the URL of the page that compares them.

    Only the examples that were evaluated are sent, and only those that LangSmith does not have yet.
    Raises UpstreamError when LangSmith did not take all of it; what it took stays there.
    """
    asked = {call.example_id for call in report.candidate.calls}
    examples = ExampleSet(
        name=dataset.id,
        hash=dataset.hash,
        agent=dataset.agent,
        origin=dataset.origin,
        examples=[example for example in dataset.examples("eval") if example.id in asked],
    )
    candidate = _arm(report, "candidate", report.candidate, job_id)
    with _uploading(account, examples) as upload:
        target = upload.target()
        if report.baseline is None:
            return _comparison_url(target, upload.experiments(target, [candidate]))
        baseline = _arm(report, "baseline", report.baseline, job_id)
        before, after = upload.experiments(target, [baseline, candidate])
        comparative = upload.compare(
            target, before, after, _preferences(report), candidate.metadata
        )
        return _comparison_url(target, [before, after], comparative)


def upload_experiments(
    account: LangSmithAccount, examples: ExampleSet, experiments: Sequence[FinishedExperiment]
) -> str:
    """Upload experiments on the same examples; return the URL of the page that compares them.

    Raises as ``upload_evaluation``.
    """
    with _uploading(account, examples) as upload:
        target = upload.target()
        return _comparison_url(target, upload.experiments(target, experiments))


def _arm(report: EvalReport, arm: Arm, result: ModelResult, job_id: str) -> FinishedExperiment:
    return FinishedExperiment(
        name=f"{report.agent}-{result.version or result.model}",
        run_name=report.agent,
        description=f"The {arm} of evaluation {job_id}.",
        calls=result.calls,
        metadata={
            "agent": report.agent,
            "model": result.model,
            "model_version": result.version or "",
            "experiment_type": EXPERIMENT_TYPE,
            "arm": arm,
            "job_id": job_id,
            "dataset": report.dataset,
            "dataset_hash": report.dataset_hash,
        },
        repetitions=report.repetitions,
    )


@contextmanager
def _uploading(account: LangSmithAccount, examples: ExampleSet) -> Iterator[_Upload]:
    """Connect, and raise the client's errors as ours."""
    faults: list[Exception] = []
    client = Client(
        api_url=account.endpoint,
        api_key=account.key,
        timeout_ms=(_CONNECT_MS, _READ_MS),
        tracing_mode="langsmith",
        tracing_sampling_rate=1.0,  # whatever the environment samples: these are results
        omit_traced_runtime_info=True,
        tracing_error_callback=faults.append,  # the client sends in the background
    )
    try:
        with closing(client):
            yield _Upload(client, examples, {e.id: e.task for e in examples.examples}, faults)
    except LangSmithError as error:
        said = " ".join(str(error).split())[:300]
        raise UpstreamError(
            f"LangSmith at {account.endpoint!r} did not take the experiments: {said}",
            remedy="The local report is complete. See LANGSMITH_API_KEY and LANGSMITH_ENDPOINT.",
        ) from error


@dataclass(frozen=True, slots=True)
class _Upload:
    """Experiments on their way."""

    client: Client
    examples: ExampleSet
    tasks: Mapping[str, str]
    """Example id → what was asked."""
    faults: Sequence[Exception]

    # -- the data set -----------------------------------------------------------------------------

    # -- the data set -----------------------------------------------------------------------------

    def target(self) -> LangSmithDataset:
        """Find the data set by its hash, or create it; add the examples that it lacks."""
        target = self._dataset()
        there = {
            example.id for example in self.client.list_examples(dataset_id=target.id, select=["id"])
        }
        missing = [
            {
                "id": _example_id(target, example.id),
                "inputs": dict(example.inputs),
                "reference_outputs": dict(example.outputs),
                "metadata": {**example.metadata, "example_id": example.id},
                "split": "eval",
            }
            for example in self.examples.examples
            if _example_id(target, example.id) not in there
        ]
        if missing:
            self.client.create_examples(dataset_id=target.id, examples=missing)
        return target

    def _dataset(self) -> LangSmithDataset:
        examples = self.examples
        hashed = {"dataset_hash": examples.hash}
        known = next(self.client.list_datasets(metadata=hashed, limit=1), None)
        if known is not None:
            return known
        try:
            return self.client.create_dataset(
                examples.name,
                description=f"Held-out examples of {examples.name} ({examples.origin}).",
                metadata={**hashed, "agent": examples.agent, "origin": examples.origin},
            )
        except LangSmithConflictError:  # another evaluation was quicker
            taken: LangSmithDataset = self.client.read_dataset(dataset_name=examples.name)
            return taken

    # -- the arms ---------------------------------------------------------------------------------

    def experiments(
        self, target: LangSmithDataset, finished: Sequence[FinishedExperiment]
    ) -> list[UploadedExperiment]:
        """Upload the arms' runs and their scores, all at once."""
        with ThreadPoolExecutor(_PARALLEL) as threads:
            return list(threads.map(lambda one: self._experiment(target, one), finished))

    def _experiment(
        self, target: LangSmithDataset, finished: FinishedExperiment
    ) -> UploadedExperiment:
        project = self.client.create_project(
            f"{finished.name}-{uuid.uuid4().hex[:8]}",
            description=finished.description,
            reference_dataset_id=target.id,
            metadata={
                **finished.metadata,
                "num_repetitions": finished.repetitions,
                "dataset_splits": ["eval"],
            },
            num_examples=len({call.example_id for call in finished.calls}),
            evaluator_keys=finished.evaluators,
        )
        runs: defaultdict[str, list[uuid.UUID]] = defaultdict(list)
        for number, call in enumerate(finished.calls, 1):
            runs[call.example_id].append(self._run(target, project, call, finished))
            if number % _BATCH == 0:  # what waits too long is dropped by the client
                self._flush()
        self._flush()
        self.client.update_project(project.id, end_time=datetime.now(UTC))
        return UploadedExperiment(project, runs)

    def _run(
        self,
        target: LangSmithDataset,
        project: TracerSession,
        call: CallRecord,
        finished: FinishedExperiment,
    ) -> uuid.UUID:
        ended = datetime.fromisoformat(call.ended_at) if call.ended_at else datetime.now(UTC)
        begun = ended - timedelta(seconds=call.latency_s or 0.0)
        run_id = uuid7_from_datetime(begun)
        metadata = finished.metadata
        self.client.create_run(
            name=finished.run_name,
            inputs={"task": self.tasks.get(call.example_id, "")},
            run_type="chain",
            id=run_id,
            trace_id=run_id,
            dotted_order=f"{begun.astimezone(UTC):%Y%m%dT%H%M%S%fZ}{run_id}",
            project_name=project.name,
            reference_example_id=_example_id(target, call.example_id),
            start_time=begun,
            end_time=ended,
            outputs=None if call.answer is None else {"answer": call.answer},
            error=call.error,
            tags=[f"{key}:{metadata[key]}" for key in TAGGED],
            extra={"metadata": {**metadata, **_usage(call), "example_id": call.example_id}},
        )
        for key, score in call.scores.items():
            self.client.create_feedback(
                run_id=run_id, trace_id=run_id, session_id=project.id, key=key, score=score
            )
        return run_id

    def _flush(self) -> None:
        """Wait until what was given to the client is sent; LangSmithError when it was not."""
        self.client.flush()  # with a timeout it would not say whether all is sent
        if self.faults:
            raise LangSmithError(str(self.faults[0]))

    # -- the comparison ---------------------------------------------------------------------------

    def compare(
        self,
        target: LangSmithDataset,
        baseline: UploadedExperiment,
        candidate: UploadedExperiment,
        shares: Mapping[str, tuple[float, float]],
        metadata: Mapping[str, str],
    ) -> uuid.UUID:
        """Create the comparative experiment with a preference for each example.

        ``shares``: example id → (baseline's, candidate's) share of preference.
        """
        comparative = self.client.create_comparative_experiment(
            f"{baseline.project.name} vs. {candidate.project.name}",
            experiments=[baseline.project.id, candidate.project.id],
            reference_dataset=target.id,
            metadata=dict(metadata),
        )
        for number, (example, scores) in enumerate(shares.items(), 1):
            group = uuid.uuid4()
            for arm, score in zip((baseline, candidate), scores, strict=True):
                run_id = arm.runs[example][0]
                self.client.create_feedback(
                    run_id=run_id,
                    trace_id=run_id,  # with it the client sends many in one request
                    session_id=arm.project.id,
                    key=PREFERENCE,
                    score=score,
                    comparative_experiment_id=comparative.id,
                    feedback_group_id=group,
                )
            if number % _BATCH == 0:
                self._flush()
        self._flush()
        return comparative.id


def _example_id(target: LangSmithDataset, example_id: str) -> uuid.UUID:
    """Return an example's id in LangSmith: the same in every evaluation of the data set."""
    return uuid.uuid5(target.id, example_id)


def _usage(call: CallRecord) -> dict[str, Any]:
    """Return the tokens as LangSmith counts them, where they are known."""
    if call.prompt_tokens is None or call.completion_tokens is None:
        return {}
    total = call.prompt_tokens + call.completion_tokens
    tokens = {"input_tokens": call.prompt_tokens, "output_tokens": call.completion_tokens}
    return {"usage_metadata": {**tokens, "total_tokens": total}}


def _preferences(report: EvalReport) -> dict[str, tuple[float, float]]:
    """Return (baseline's, candidate's) share of preference by example, where both have a score."""
    if report.baseline is None:
        return {}
    found: dict[str, tuple[float, float]] = {}
    for metric in _CORRECTNESS:
        before, after = (
            by_example(result.calls, lambda call, of=metric: call.scores.get(of))  # type: ignore[misc]
            for result in (report.baseline, report.candidate)
        )
        for example in after.keys() & before.keys() - found.keys():
            won = (after[example] > before[example]) - (after[example] < before[example])
            found[example] = (0.5 - 0.5 * won, 0.5 + 0.5 * won)
    return found


def _comparison_url(
    target: LangSmithDataset,
    experiments: Sequence[UploadedExperiment],
    comparative: uuid.UUID | None = None,
) -> str:
    """Return the page that shows the experiments side by side."""
    workspace = str(experiments[0].project.url).partition("/projects/p/")[0]
    query = {"selectedSessions": ",".join(str(one.project.id) for one in experiments)}
    if comparative is not None:
        query["comparativeExperiment"] = str(comparative)
    return f"{workspace}/datasets/{target.id}/compare?{urlencode(query)}"
