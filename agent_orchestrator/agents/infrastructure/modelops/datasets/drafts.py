"""A data set in the making: read once, checked, cleaned, split and hashed in bounded memory.

Rows go to a file as they come, what the checks must know of them to an index beside it. Then the
index answers what is wrong and who is held out, and the rows that are left are copied into their
splits. Memory holds one row, the index's cache (16 MiB), a thousand texts to tell the languages by,
and counters whose number does not depend on the rows; the disk holds the rows twice and about
500 bytes more for each.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO, Final, Literal

from agent_orchestrator.agents.infrastructure.modelops.datasets import near_duplicates
from agent_orchestrator.agents.infrastructure.modelops.datasets.checks import (
    SHOWN,
    Finding,
    FindingKind,
    run_checks,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.code_tests import (
    pass_without_answer,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import (
    FORMS,
    Example,
    digest,
    normalised,
    parse_example,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.index import Entry, RowIndex
from agent_orchestrator.agents.infrastructure.modelops.datasets.profile import (
    Profile,
    Profiler,
    TokenCounter,
    estimated_tokens,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.scrubbing import scrub
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import BadRow, Rows, Source
from agent_orchestrator.agents.infrastructure.modelops.datasets.training_rows import needs, row_of
from agent_orchestrator.domain.models import TrainingMethod
from agent_orchestrator.domain.wording import counted
from agent_orchestrator.errors import ConfigurationError, DatasetError, EmptyRowError
from agent_orchestrator.stores.defaults import SandboxDefaults

SplitName = Literal["train", "eval"]
EVAL_FRACTION: Final = 0.2
_FEWEST: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to make a data set of a source."""

    seed: int = 0
    eval_fraction: float = EVAL_FRACTION
    max_examples: int | None = None
    """Examples to take, the source's first ones; of one that is split already, for training."""
    clean: bool = False
    """Remove and scrub what the checks find. Leaks into the training split never stay."""
    method: TrainingMethod = "sft"
    """What is to be trained."""
    tokens: TokenCounter = field(
        default_factory=lambda: estimated_tokens("no base model was named")
    )
    max_tokens: int | None = None
    """From how many tokens on training would cut an example."""
    passes_unanswered: Callable[[str], bool] = field(
        default_factory=lambda: partial(pass_without_answer, sandbox=SandboxDefaults())
    )
    """Whether tests pass with no answer. Raises ConfigurationError where nothing can be run."""


PLAIN: Final = Recipe()
CLEANED: Final = Recipe(clean=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One file of a data set."""

    count: int
    sha256: str
    """Of the file, hexadecimal."""
    categories: Mapping[str, int]
    """Examples per category."""
    groups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A checked data set, its splits in a folder of the caller's."""

    rows_read: int
    seed: int
    splits: Mapping[SplitName, Split]
    findings: tuple[Finding, ...]
    profile: Profile
    fault: DatasetError | None
    """Why there can be no data set of it, None when there can."""

    @property
    def hash(self) -> str:
        """SHA-256 over the splits' hashes, hexadecimal: the data set's content."""
        return digest([f"{name}:{split.sha256}" for name, split in self.splits.items()])


def write_draft(source: Source, recipe: Recipe, folder: Path) -> Draft:
    """Read a source, check it, and write its splits (``train.jsonl``, ``eval.jsonl``).

    Without cleaning a bad row is an error. Raises DatasetError for that, what reading the source
    raises, OSError when something cannot be written.
    """
    intake = _Intake(recipe, source.origin)
    with RowIndex(folder / "index.db", seed=recipe.seed) as index:
        with (folder / "rows.jsonl").open("wb") as file:
            intake.read(source.examples, None if source.held_out is None else False, index, file)
            intake.read(source.held_out or (), True, index, file)
        index.all_in()
        with (folder / "rows.jsonl").open("rb") as file:
            _find_near(index, file)
            fault = _split(index, intake.rows, recipe) if source.held_out is None else None
            index.prepare_checks()
            found = run_checks(
                index,
                clean=recipe.clean,
                name_of=lambda n: _example_at(file, index.at(n)).id,
                details=intake.details(),
            )
            splits = _write_splits(index, file, folder)
    for name in ("index.db", "rows.jsonl"):
        (folder / name).unlink()
    return Draft(
        rows_read=intake.rows + intake.bad_rows,
        seed=recipe.seed,
        splits=splits,
        findings=(*intake.bad_findings(), *found),
        profile=intake.profiler.profile(),
        fault=fault or intake.fault() or _nothing_left(splits),
    )


class _Intake:
    """Takes rows in: scrubbed, profiled, numbered."""

    def __init__(self, recipe: Recipe, origin: str) -> None:
        self._recipe = recipe
        self._origin = origin
        self.profiler = Profiler(recipe.tokens, seed=recipe.seed)
        self.rows = 0
        self._at = 0
        self._unanswered = 0
        self._untried = ""
        self._bad: dict[FindingKind, list[BadRow]] = defaultdict(list)
        self._bad_count: Counter[FindingKind] = Counter()
        self._sensitive: dict[FindingKind, Counter[str]] = defaultdict(Counter)

    def read(self, rows: Rows, held_out: bool | None, index: RowIndex, file: BinaryIO) -> None:
        """Read the rows of one split, or rows that are not split yet (None)."""
        most = math.inf if held_out else self._recipe.max_examples or math.inf
        end = self.rows + most
        try:
            for row in rows:
                if isinstance(row, BadRow):
                    self._take_bad(row)
                    continue
                self._take(row, held_out, index, file)
                if self.rows >= end:
                    break
        finally:
            if isinstance(rows, Generator):
                rows.close()  # and the file or connection that it reads from

    def _take_bad(self, row: BadRow) -> None:
        if not self._recipe.clean:
            raise row.error
        kind: FindingKind = "empty_row" if isinstance(row.error, EmptyRowError) else "bad_row"
        self._bad_count[kind] += 1
        if len(self._bad[kind]) < SHOWN:
            self._bad[kind].append(row)

    def _take(
        self, example: Example, held_out: bool | None, index: RowIndex, file: BinaryIO
    ) -> None:
        example = self._scrubbed(example, index)
        if self.profiler.add(example) > (self._recipe.max_tokens or math.inf):
            index.mark("too_long", self.rows)
        if not any(example.outputs.get(key) for key in ("tests", "schema")) and not example.label:
            index.mark("missing_answer", self.rows)
            self._unanswered += 1
        elif row_of(example, self._recipe.method) is None:
            index.mark("wrong_for_method", self.rows)
        self._try_tests(example, index)
        line = example.line().encode() + b"\n"
        keys = near_duplicates.bands(example.task)
        index.add(Entry(self.rows, self._at, held_out, example, keys))
        file.write(line)
        self._at += len(line)
        self.rows += 1

    def _try_tests(self, example: Example, index: RowIndex) -> None:
        """Note tests that any answer would pass."""
        tests = example.outputs.get("tests")
        if not isinstance(tests, str) or not tests:
            return
        try:
            if self._recipe.passes_unanswered(tests):
                index.mark("weak_tests", self.rows)
        except ConfigurationError as error:
            index.mark("untried_tests", self.rows)
            self._untried = error.message

    def _scrubbed(self, example: Example, index: RowIndex) -> Example:
        """Note what is sensitive in an example; return it without when cleaning."""
        scrubbed = scrub(example)
        found: dict[FindingKind, Mapping[str, int]] = {
            "secret": scrubbed.secrets,
            "personal_data": scrubbed.personal,
        }
        for kind, counts in found.items():
            if counts:
                index.mark(kind, self.rows)
                self._sensitive[kind].update(counts)
        return scrubbed.example if self._recipe.clean else example

    @property
    def bad_rows(self) -> int:
        """Rows that are no examples."""
        return self._bad_count.total()

    def bad_findings(self) -> list[Finding]:
        """Return the findings about rows that are no examples."""
        texts: dict[FindingKind, str] = {
            "bad_row": "[row is not as it|rows are not as they] should be; the first",
            "empty_row": "[row asks|rows ask] nothing; the first",
        }
        return [
            Finding(
                kind,
                self._bad_count[kind],
                f"{counted(self._bad_count[kind], text)}: {bad[0].error.message}",
                bad[0].error.remedy,
                tuple(row.where for row in bad),
                "removed",
            )
            for kind, text in texts.items()
            if (bad := self._bad[kind])
        ]

    def details(self) -> dict[FindingKind, str]:
        """Return what some findings add to their message."""
        method = self._recipe.method
        kinds = {
            kind: ", ".join(f"{name} {count}" for name, count in counts.most_common())
            for kind, counts in self._sensitive.items()
        }
        return {
            "wrong_for_method": f"{method} needs {needs(method)}",
            "untried_tests": self._untried,
            **kinds,
        }

    def fault(self) -> DatasetError | None:
        """Return why what was read can be no data set, None when it can."""
        bad = [*self._bad["bad_row"], *self._bad["empty_row"]]
        if self.rows == 0 and bad:
            return bad[0].error
        if self.rows == 0:
            return DatasetError(f"{self._origin} holds no example.", remedy=f"Fill it. {FORMS}")
        if self.rows == 1:
            return DatasetError(
                f"{self._origin} holds one example; training and evaluation need at least one "
                "each.",
                remedy="Add examples; some hundreds are a good start.",
            )
        if self._unanswered == self.rows:
            return DatasetError(
                f"{self._origin}: no example has an answer.",
                remedy="Fill outputs.answer (or completion, response, the assistant's turn).",
            )
        return None


# ---------------------------------------------------------------- near duplicates


def _find_near(index: RowIndex, file: BinaryIO) -> None:
    """Find rows whose task and answer are nearly those of an earlier one, the first of its kind."""

    @lru_cache(maxsize=32)
    def parts(n: int) -> tuple[frozenset[str], str]:
        example = _example_at(file, index.at(n))
        return near_duplicates.shingles(example.task), example.label or ""

    found = -1
    for n, earlier in index.candidates():
        if n == found:
            continue
        root = index.root_of(earlier)
        if _alike(parts(n), parts(root)):
            index.set_near(n, root)
            found = n


def _alike(one: tuple[frozenset[str], str], other: tuple[frozenset[str], str]) -> bool:
    """Return whether both tasks and both answers are nearly the same."""
    if near_duplicates.similarity(one[0], other[0]) < near_duplicates.THRESHOLD:
        return False
    if normalised(one[1]) == normalised(other[1]):
        return True
    answers = near_duplicates.shingles(one[1]), near_duplicates.shingles(other[1])
    return near_duplicates.similarity(*answers) >= near_duplicates.THRESHOLD


def _example_at(file: BinaryIO, at: int) -> Example:
    file.seek(at)
    return parse_example(json.loads(file.readline()), "rows")


# ---------------------------------------------------------------- splitting


def choose_groups(
    sizes: Iterable[tuple[bytes, int]], *, total: int, fraction: float = EVAL_FRACTION
) -> Iterator[bytes]:
    """Yield the groups to hold out: about ``fraction`` of ``total`` rows, at most half.

    ``sizes`` are groups with their rows in the order of a seeded hash, so that the order of the
    rows does not matter and a new group moves no old one.
    """
    held_out = 0
    for group, size in sizes:
        if held_out >= fraction * total:
            return
        if held_out + size <= total / 2:  # one huge group stays in training
            held_out += size
            yield group


def _split(index: RowIndex, rows: int, recipe: Recipe) -> DatasetError | None:
    """Split by group, so that no group stands on both sides; return why that cannot be."""
    index.hold_out(choose_groups(index.group_sizes(), total=rows, fraction=recipe.eval_fraction))
    if rows < _FEWEST or index.any_held_out():
        return None
    return DatasetError(
        f"All {rows} examples belong to one group: nothing can be held out.",
        remedy="Give the examples a metadata.group each (e.g. their source file), or none.",
    )


# ---------------------------------------------------------------- the splits on disk


class _SplitWriter:
    """Writes one split's file, counting and hashing."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._hash = hashlib.sha256()
        self._categories: Counter[str] = Counter()

    def write(self, line: bytes) -> None:
        """Write a row's line."""
        self._file.write(line)
        self._hash.update(line)
        self._categories[parse_example(json.loads(line), "rows").category] += 1

    def close(self) -> None:
        """Have the file on disk."""
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())

    def split(self, groups: int) -> Split:
        """Return what was written."""
        return Split(
            count=self._categories.total(),
            sha256=self._hash.hexdigest(),
            categories=dict(sorted(self._categories.items())),
            groups=groups,
        )


def _write_splits(index: RowIndex, file: BinaryIO, folder: Path) -> dict[SplitName, Split]:
    """Copy the rows that are left into their splits."""
    writers = [_SplitWriter(folder / "train.jsonl"), _SplitWriter(folder / "eval.jsonl")]
    try:
        for at, held_out in index.kept():
            file.seek(at)
            writers[held_out].write(file.readline())
    finally:
        for writer in writers:
            writer.close()
    groups = [index.groups(held_out=side) for side in (False, True)]
    return {"train": writers[0].split(groups[0]), "eval": writers[1].split(groups[1])}


def _nothing_left(splits: Mapping[SplitName, Split]) -> DatasetError | None:
    train, held_out = splits["train"].count, splits["eval"].count
    if train and held_out:
        return None
    return DatasetError(
        f"Nothing is left: {counted(train, 'example[s]')} to train on, {held_out} held out.",
        remedy="Both splits need examples whose tasks differ.",
    )
