"""Data sets on disk: checked, split by group, hashed.

::

    <root>/<name>-<hash>/
        dataset.json    what it is: source, counts, hashes, findings, profile
        train.jsonl     one canonical example a line; ``sha256sum`` gives the split's hash
        eval.jsonl      held out: never trained on

A data set never changes once it is there. Its id ends in the hash of its content, so that building
the same content again finds it, and whoever cites the id cites the content.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from agent_orchestrator.agents.infrastructure.modelops.datasets.checks import Finding
from agent_orchestrator.agents.infrastructure.modelops.datasets.drafts import (
    CLEANED,
    PLAIN,
    Draft,
    Recipe,
    Split,
    SplitName,
    write_draft,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import (
    Example,
    parse_example,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.profile import Profile
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source
from agent_orchestrator.agents.infrastructure.modelops.datasets.training_rows import (
    needs,
    row_of,
    stratified,
)
from agent_orchestrator.domain.models import TrainingMethod
from agent_orchestrator.errors import DatasetError, StorageError
from agent_orchestrator.stores.files import storage_error

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,46}[a-z0-9])?")
_REF: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ID_HASH: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set on disk: ``dataset.json`` and the folder it lies in."""

    id: str
    name: str
    agent: str
    origin: str
    created_at: str
    """ISO 8601, UTC."""
    seed: int
    hash: str
    """SHA-256 over the splits' hashes, hexadecimal."""
    splits: Mapping[SplitName, Split]
    findings: tuple[Finding, ...]
    profile: Profile | None = None
    """What the source looked like; None for a data set of before there were profiles."""
    rows_read: int | None = None
    """Rows of the source, before cleaning."""
    folder: Path

    @property
    def counts(self) -> dict[str, int]:
        """Examples per split."""
        return {name: split.count for name, split in self.splits.items()}

    def examples(self, split: SplitName) -> tuple[Example, ...]:
        """Read a split; DatasetError when the file is not the one that was hashed."""
        return tuple(self.stream(split))

    def stream(self, split: SplitName) -> Iterator[Example]:
        """Yield a split's examples one by one; DatasetError when the file is another by now."""
        path = self.folder / f"{split}.jsonl"
        try:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != self.splits[split].sha256:
                    raise DatasetError(
                        f"{path} is not the file that was built (its SHA-256 differs).",
                        remedy="Remove the data set's folder and build it again.",
                    )
                file.seek(0)
                for line in file:
                    yield parse_example(json.loads(line), path.name)
        except OSError as error:
            raise StorageError(
                f"Cannot read {path}: {error.strerror}.", remedy="Build the data set again."
            ) from error


def training_rows(
    dataset: Dataset, method: TrainingMethod = "sft", max_examples: int | None = None, seed: int = 0
) -> list[dict[str, Any]]:
    """Return the training split as rows of the method, as the worker reads them.

    Examples that lack what the method needs, or with ``metadata.success`` false, are not trained
    on. When there are more than ``max_examples``, each category keeps its share (largest
    remainder). Raises DatasetError when no example is left.
    """
    examples = dataset.examples("train")
    usable = [e for e in examples if e.successful and row_of(e, method) is not None]
    if not usable:
        raise DatasetError(
            f"Data set {dataset.id!r} has no successful example to train on by {method}: it needs "
            f"{needs(method)}.",
            remedy="Build it from a source that has some, or choose another method.",
        )
    rows = (row_of(example, method) for example in stratified(usable, max_examples, seed))
    return [row for row in rows if row is not None]


class DatasetStore:
    """The data sets under one folder."""

    def __init__(
        self, root: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._root = root
        self._clock = clock

    def build(
        self, agent: str, source: Source, *, name: str | None = None, recipe: Recipe = PLAIN
    ) -> Dataset:
        """Check, split and write a source's examples; return the data set, new or already there.

        Raises DatasetError when it cannot be one, what reading the source raises, and StorageError
        when it cannot be written; then nothing has changed.
        """
        name = check_name(name or source.name)
        with self._drafted(source, recipe, name) as (draft, folder):
            if draft.fault is not None:
                raise draft.fault
            dataset = self._dataset(draft, agent=agent, origin=source.origin, name=name)
            return self._keep(dataset, folder)

    def check(self, source: Source, *, recipe: Recipe = CLEANED) -> Draft:
        """Return what building would find, and what it would make. Raises as ``build``."""
        with self._drafted(source, recipe, source.name) as (draft, _):
            return draft

    @contextmanager
    def _drafted(self, source: Source, recipe: Recipe, name: str) -> Iterator[tuple[Draft, Path]]:
        """Make a draft in a folder beside the data sets, which goes unless it was renamed."""
        folder: Path | None = None
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=".building-", dir=self._root))
            yield write_draft(source, recipe, folder), folder
        except OSError as error:
            raise storage_error(self._root / name, error) from error
        except sqlite3.OperationalError as error:
            full = error.sqlite_errorcode in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}
            code = errno.ENOSPC if full else errno.EIO
            raise storage_error(self._root / name, OSError(code, str(error))) from error
        finally:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def get(self, ref: str) -> Dataset:
        """Return a data set by its id, or the newest of a name; DatasetError if there is none."""
        if _REF.fullmatch(ref) and ".." not in ref:
            exact = self._root / ref
            if (exact / "dataset.json").is_file():
                return _load(exact)
            for dataset in self.list():
                if dataset.name == ref:
                    return dataset
        known = sorted({dataset.name for dataset in self.list()})
        raise DatasetError(
            f"No data set {ref!r}.",
            remedy=f"Known: {', '.join(known)}." if known else "Build one with build_dataset.",
        )

    def get_for(self, agent: str, ref: str) -> Dataset:
        """Return an agent's data set as ``get`` does; DatasetError for one of another agent."""
        dataset = self.get(ref)
        if dataset.agent != agent:
            raise DatasetError(
                f"Data set {dataset.id} belongs to {dataset.agent}, not to {agent}.",
                remedy=f"Build one for {agent} (`chef build-dataset {agent} --source …`).",
                field="dataset",
            )
        return dataset

    def list(self, agent: str | None = None) -> list[Dataset]:
        """Return the data sets (of an agent), newest first."""
        folders = (p.parent for p in self._root.glob("[!.]*/dataset.json"))
        found = [_load(folder) for folder in folders]
        wanted = [d for d in found if agent is None or d.agent == agent]
        return sorted(wanted, key=lambda d: (d.created_at, d.id), reverse=True)

    def _dataset(self, draft: Draft, *, agent: str, origin: str, name: str) -> Dataset:
        """Describe a draft as the data set that it becomes."""
        content = draft.hash
        return Dataset(
            id=f"{name}-{content[:_ID_HASH]}",
            name=name,
            agent=agent,
            origin=origin,
            created_at=self._clock().isoformat(timespec="microseconds"),
            seed=draft.seed,
            hash=content,
            splits=draft.splits,
            findings=draft.findings,
            profile=draft.profile,
            rows_read=draft.rows_read,
            folder=self._root / f"{name}-{content[:_ID_HASH]}",
        )

    def _keep(self, dataset: Dataset, folder: Path) -> Dataset:
        """Give a draft's folder its final place: all or nothing."""
        final = dataset.folder
        if (final / "dataset.json").is_file():
            return _load(final)
        document = _ADAPTER.dump_json(dataset, exclude={"folder"}, indent=2).decode()
        _write_synced(folder / "dataset.json", document + "\n")
        folder.chmod(0o755)
        try:
            folder.rename(final)
        except OSError:
            if (final / "dataset.json").is_file():  # another process was first
                return _load(final)
            raise
        _sync_folder(self._root)
        return dataset


def check_name(name: str) -> str:
    """Return ``name`` if it can name a data set (and its folder); DatasetError otherwise."""
    if _NAME.fullmatch(name) and ".." not in name:
        return name
    raise DatasetError(
        f"Not a data set name: {name!r}.",
        remedy="Use up to 48 lower-case letters, digits, '-', '_' and '.'.",
    )


_ADAPTER: Final = TypeAdapter(Dataset)


def _load(folder: Path) -> Dataset:
    path = folder / "dataset.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return _ADAPTER.validate_python({**document, "folder": folder})
    except (OSError, ValueError, TypeError) as error:
        reason = error.title if isinstance(error, ValidationError) else error
        raise DatasetError(
            f"{path} cannot be read: {reason}.", remedy="Remove the folder and build it again."
        ) from error


def _write_synced(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
