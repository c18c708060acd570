"""What is in a data set, told: as a result for every door, and as a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.datasets import profile as dataset_profile
from agent_orchestrator.agents.infrastructure.modelops.datasets.checks import Finding as Found
from agent_orchestrator.agents.infrastructure.modelops.datasets.code_tests import (
    pass_without_answer,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.drafts import Recipe
from agent_orchestrator.agents.infrastructure.modelops.datasets.profile import Lengths, Profile
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source, Wanted
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.naming import slug
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.opening import Sources
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.reports.rendering import render, write
from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import (
    BuildDataset,
    CheckDataset,
    DatasetList,
    DatasetReport,
    Finding,
    LengthProfile,
    ListDatasets,
    ListedDataset,
    ShowDataset,
)
from agent_orchestrator.stores.defaults import SandboxDefaults


@dataclass(frozen=True, slots=True)
class Measure:
    """How long examples are to a base model, and what it can take."""

    tokens: dataset_profile.TokenCounter
    max_tokens: int
    """From where on training would cut an example."""


MeasureOf = Callable[[str, str | None], Measure]
"""(agent, base model or None for the usual one) → its measure. Raises as BaseModels.resolve."""


class Reading:
    """Opens what a request names, and says how to make a data set of it."""

    def __init__(
        self,
        catalogue: Catalogue,
        sources: Sources,
        measure_of: MeasureOf,
        sandbox: SandboxDefaults | None = None,
    ) -> None:
        """``sandbox``: where the examples' tests are tried."""
        self._catalogue = catalogue
        self._sources = sources
        self._measure_of = measure_of
        self._sandbox = sandbox or SandboxDefaults()

    def open(self, request: CheckDataset | BuildDataset) -> Source:
        """Open the source. Raises UnknownAgentError, and as the source does."""
        wanted = Wanted(
            agent=self._catalogue.check_agent(request.agent),
            filters=request.filters.selected(),
            seed=request.seed,
            columns=request.columns,
        )
        return self._sources.open(request.source, wanted)

    def recipe(self, request: CheckDataset | BuildDataset) -> Recipe:
        """Return how to make a data set, cleaned unless the request says otherwise."""
        measure = self._measure_of(request.agent, request.base_model)
        as_is = isinstance(request, BuildDataset) and request.as_is
        return Recipe(
            seed=request.seed,
            max_examples=request.max_examples,
            clean=not as_is,
            method=request.method,
            tokens=measure.tokens,
            max_tokens=measure.max_tokens,
            passes_unanswered=partial(pass_without_answer, sandbox=self._sandbox),
        )


class DatasetReports:
    """Reports on sources and data sets."""

    def __init__(self, reading: Reading, datasets: DatasetStore, folder: Path) -> None:
        self._reading = reading
        self._datasets = datasets
        self._folder = folder

    def check(self, request: CheckDataset) -> DatasetReport:
        """Read a source and report on it; nothing is built.

        Raises what opening and reading the source raise, StorageError.
        """
        source = self._reading.open(request)
        draft = self._datasets.check(source, recipe=self._reading.recipe(request))
        fault = draft.fault
        report = DatasetReport(
            agent=request.agent,
            origin=source.origin,
            dataset=None,
            usable=fault is None,
            problem="" if fault is None else f"{fault.message} {fault.remedy}".strip(),
            rows_read=draft.rows_read,
            counts={name: split.count for name, split in draft.splits.items()},
            dataset_hash=draft.hash,
            findings=[finding_of(found) for found in draft.findings],
            **_profile(draft.profile),
        )
        return self._written(report, f"check-{source.name}-{draft.hash[:12]}")

    def show(self, request: ShowDataset) -> DatasetReport:
        """Report on a data set. Raises DatasetError when there is none, StorageError."""
        dataset = self._datasets.get(request.name)
        report = DatasetReport(
            agent=dataset.agent,
            origin=dataset.origin,
            dataset=dataset.id,
            usable=True,
            rows_read=dataset.rows_read,
            counts=dataset.counts,
            dataset_hash=dataset.hash,
            findings=[finding_of(found) for found in dataset.findings],
            **_profile(dataset.profile),
        )
        return self._written(report, dataset.id)

    def list(self, request: ListDatasets) -> DatasetList:
        """List the data sets, newest first."""
        return DatasetList(
            datasets=[
                ListedDataset(
                    dataset=dataset.id,
                    agent=dataset.agent,
                    origin=dataset.origin,
                    created_at=dataset.created_at,
                    counts=dataset.counts,
                    findings=len(dataset.findings),
                )
                for dataset in self._datasets.list(request.agent)
            ]
        )

    def _written(self, report: DatasetReport, name: str) -> DatasetReport:
        """Write a report as JSON and as a page; return it with their paths."""
        folder = self._folder / slug(name)
        machine, page = folder / "report.json", folder / "report.html"
        report = report.model_copy(update={"reports": {"json": str(machine), "html": str(page)}})
        texts = {
            machine: report.model_dump_json(indent=2),
            page: render("dataset.html.j2", report=report),
        }
        write(texts)
        return report


def finding_of(found: Found) -> Finding:
    """Return a finding as the doors show it."""
    return Finding(
        kind=found.kind,
        count=found.count,
        message=found.message,
        suggestion=found.suggestion,
        examples=list(found.examples),
        action=found.action,
    )


def _profile(profile: Profile | None) -> dict[str, Any]:
    """Return a report's fields about the profile; empty for a data set without one."""
    if profile is None:
        nothing = dataset_profile.Profiler(dataset_profile.estimated_tokens("not counted"))
        profile = replace(nothing.profile(), tokens_how="not counted when it was built")
    return {
        "trainable": {str(method): count for method, count in profile.usable.items()},
        "tokens": _lengths(profile.tokens),
        "tokens_how": profile.tokens_how,
        "tokens_exact": profile.tokens_exact,
        "task_chars": _lengths(profile.task_chars),
        "answer_chars": _lengths(profile.answer_chars),
        "languages": dict(profile.languages),
        "language_sample": profile.language_sample,
        "categories": dict(profile.categories),
    }


def _lengths(lengths: Lengths) -> LengthProfile | None:
    if not lengths.bars:
        return None
    return LengthProfile(
        total=lengths.total,
        mean=lengths.mean,
        p50=lengths.p50,
        p95=lengths.p95,
        max=lengths.max,
        bars=[(bar.upto, bar.count) for bar in lengths.bars],
    )
