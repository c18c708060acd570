"""Data sets on disk: validated, split by group, hashed, checked for leaks.

::

    <root>/<name>-<hash>/
        dataset.json    what it is: source, counts, hashes, findings
        train.jsonl     one canonical example a line; ``sha256sum`` gives the split's hash
        eval.jsonl      held out: never trained on

A data set never changes once it is there. Its id ends in the hash of its content, so that building
the same content again finds it, and whoever cites the id cites the content.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError

from agent_orchestrator.agents.infrastructure.modelops import stdlib_defects
from agent_orchestrator.agents.infrastructure.modelops.dataset_checks import (
    Finding,
    check_splits,
    without_leaks,
)
from agent_orchestrator.agents.infrastructure.modelops.dataset_files import read_examples
from agent_orchestrator.agents.infrastructure.modelops.examples import (
    Example,
    Message,
    digest,
    parse_example,
)
from agent_orchestrator.domain.models import TrainingMethod
from agent_orchestrator.errors import DatasetError, NotAvailable, StorageError
from agent_orchestrator.stores.files import storage_error

SplitName = Literal["train", "eval"]
EVAL_FRACTION: Final = 0.2
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,46}[a-z0-9])?")
_REF: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ID_HASH: Final = 12


# ---------------------------------------------------------------- sources


@dataclass(frozen=True, slots=True)
class Source:
    """Examples as they come, not yet a data set."""

    name: str
    origin: str
    """Where they come from, for people."""
    examples: tuple[Example, ...]
    """All of them, or the training split when the source is split already."""
    held_out: tuple[Example, ...] | None = None
    """The evaluation split; None when the source is not split yet."""


def load_source(
    source: str, agent: str, *, filters: Mapping[str, Any] | None = None, seed: int = 0
) -> Source:
    """Return an agent's examples from ``stdlib-defects`` or from a ``.jsonl`` or ``.csv`` file.

    Examples that name another agent in their metadata are left out, as are those whose metadata
    lacks a value of ``filters`` (a text also matches by its JSON: ``"true"`` matches true).

    Raises DatasetError for an unknown source, a file that is not as it should be, and when no
    example is left; NotAvailable for ``langsmith``.
    """
    found = _read_source(source, seed)
    wanted = dict(filters or {})
    keep = [found.examples, *([found.held_out] if found.held_out is not None else [])]
    kept = [tuple(_of_agent(agent, _matching(examples, wanted))) for examples in keep]
    if not all(kept):
        others = sorted({str(e.metadata.get("agent", agent)) for e in found.examples})
        raise DatasetError(
            f"Source {source!r} has no example for agent {agent!r} with filters {wanted!r}"
            f" (agents there: {', '.join(others)}).",
            remedy="Name another agent, source or filter.",
        )
    return Source(found.name, found.origin, kept[0], kept[1] if len(kept) > 1 else None)


def _read_source(source: str, seed: int) -> Source:
    if source == stdlib_defects.NAME:
        train, held_out = stdlib_defects.build(seed)
        return Source(source, source, _parsed(train, source), _parsed(held_out, source))
    if source == "langsmith":
        raise NotAvailable(
            "Source 'langsmith' is not available in this build.",
            remedy="Export the examples as JSONL and give the file's path.",
        )
    path = Path(source)
    if not path.suffix:
        raise DatasetError(
            f"Unknown data set source {source!r}.",
            remedy=f"Use {stdlib_defects.NAME!r} or the path of a .jsonl or .csv file.",
        )
    return Source(_slug(path.stem), path.name, tuple(read_examples(path)))


def _parsed(rows: Sequence[Mapping[str, Any]], source: str) -> tuple[Example, ...]:
    return tuple(parse_example(row, f"{source}, example {n}") for n, row in enumerate(rows, 1))


def _of_agent(agent: str, examples: Sequence[Example]) -> Iterator[Example]:
    for example in examples:
        if example.metadata.get("agent", agent) == agent:
            metadata = {**example.metadata, "agent": agent}
            yield Example(
                id=example.id, inputs=example.inputs, outputs=example.outputs, metadata=metadata
            )


def _matching(examples: Sequence[Example], filters: Mapping[str, Any]) -> list[Example]:
    def matches(metadata: Mapping[str, Any]) -> bool:
        return all(
            key in metadata and value in (metadata[key], json.dumps(metadata[key]))
            for key, value in filters.items()
        )

    return [example for example in examples if matches(example.metadata)]


def _slug(stem: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:48].strip("-") or "dataset"


# ---------------------------------------------------------------- splitting and sampling


def split_by_group(
    examples: Sequence[Example], *, fraction: float = EVAL_FRACTION, seed: int = 0
) -> tuple[list[Example], list[Example]]:
    """Return (train, eval): no group stands in both, and eval holds about ``fraction`` of all.

    Groups are taken in the order of a seeded hash, so that the order of the rows does not matter
    and a new group moves no old one. Raises DatasetError when there are fewer than two groups.
    """
    sizes = Counter(example.group for example in examples)
    order = sorted(sizes, key=lambda g: hashlib.sha256(f"{seed}:{g}".encode()).digest())
    held_out: set[str] = set()
    total = 0
    for group in order:
        if total >= fraction * len(examples):
            break
        if total + sizes[group] <= len(examples) / 2:  # one huge group stays in training
            held_out.add(group)
            total += sizes[group]
    if not held_out:
        raise DatasetError(
            f"All {len(examples)} examples belong to one group: nothing can be held out.",
            remedy="Give the examples a metadata.group each (e.g. their source file), or none.",
        )
    train = [example for example in examples if example.group not in held_out]
    return train, [example for example in examples if example.group in held_out]


def training_rows(
    dataset: Dataset, method: TrainingMethod = "sft", max_examples: int | None = None, seed: int = 0
) -> list[dict[str, Any]]:
    """Return the training split as rows of the method, as the worker reads them.

    ``sft``: ``messages``, the assistant's answer last. ``dpo``, ``orpo``: ``prompt`` (messages),
    ``chosen``, ``rejected``. ``grpo``: ``problem`` (messages) and of ``solution``, ``tests`` and
    ``schema`` what there is. Examples that lack this, or with ``metadata.success`` false, are not
    trained on. When there are more than ``max_examples``, each category keeps its share (largest
    remainder). Raises DatasetError when no example is left.
    """
    make, needed = _ROWS[method]
    usable = [e for e in dataset.examples("train") if e.successful and make(e) is not None]
    if not usable:
        raise DatasetError(
            f"Data set {dataset.id!r} has no successful example to train on by {method}: it needs "
            f"{needed}.",
            remedy="Build it from a source that has some, or choose another method.",
        )
    rows = (make(example) for example in stratified(usable, max_examples, seed))
    return [row for row in rows if row is not None]


def _conversation(example: Example) -> dict[str, Any] | None:
    if not example.label:
        return None
    return {"messages": [*example.messages, Message(role="assistant", content=example.label)]}


def _pair(example: Example) -> dict[str, Any] | None:
    chosen, rejected = (example.outputs.get(key) for key in ("chosen", "rejected"))
    if not (chosen and rejected) or chosen == rejected:
        return None
    return {"prompt": example.messages, "chosen": chosen, "rejected": rejected}


def _problem(example: Example) -> dict[str, Any] | None:
    right = {"solution": example.label, **{k: example.outputs.get(k) for k in ("tests", "schema")}}
    given = {k: v if isinstance(v, str) else json.dumps(v) for k, v in right.items() if v}
    return {"problem": example.messages, **given} if given else None


#: Method → what makes a row of an example (None when it lacks something), and what that needs.
_ROWS: Final[Mapping[TrainingMethod, tuple[Callable[[Example], dict[str, Any] | None], str]]] = {
    "sft": (_conversation, "answers"),
    "dpo": (_pair, "chosen and rejected answers that differ"),
    "orpo": (_pair, "chosen and rejected answers that differ"),
    "grpo": (_problem, "solutions, tests or schemas"),
}


def stratified(examples: Sequence[Example], size: int | None, seed: int = 0) -> list[Example]:
    """Return at most ``size`` examples, each category with its share, in their old order."""
    if size is None or size >= len(examples):
        return list(examples)
    by_category: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        by_category[example.category].append(index)
    exact = {c: size * len(members) / len(examples) for c, members in by_category.items()}
    taken = {category: int(share) for category, share in exact.items()}
    by_remainder = sorted(exact, key=lambda c: (taken[c] - exact[c], c))
    for category in by_remainder[: size - sum(taken.values())]:
        taken[category] += 1
    rng = random.Random(seed)  # noqa: S311 - a reproducible draw, not a secret
    chosen = [i for c in sorted(by_category) for i in rng.sample(by_category[c], taken[c])]
    return [examples[index] for index in sorted(chosen)]


# ---------------------------------------------------------------- the store


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
    folder: Path

    @property
    def counts(self) -> dict[str, int]:
        """Examples per split."""
        return {name: split.count for name, split in self.splits.items()}

    def examples(self, split: SplitName) -> tuple[Example, ...]:
        """Read a split; DatasetError when the file is not the one that was hashed."""
        path = self.folder / f"{split}.jsonl"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StorageError(
                f"Cannot read {path}: {error.strerror}.", remedy="Build the data set again."
            ) from error
        if hashlib.sha256(content).hexdigest() != self.splits[split].sha256:
            raise DatasetError(
                f"{path} is not the file that was built (its SHA-256 differs).",
                remedy="Remove the data set's folder and build it again.",
            )
        rows = (json.loads(line) for line in content.splitlines())
        return tuple(parse_example(row, path.name) for row in rows)


class DatasetStore:
    """The data sets under one folder."""

    def __init__(
        self, root: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._root = root
        self._clock = clock

    def build(
        self,
        agent: str,
        source: Source,
        *,
        name: str | None = None,
        seed: int = 0,
        eval_fraction: float = EVAL_FRACTION,
    ) -> Dataset:
        """Split, check and write a source's examples; return the data set, new or already there.

        A training row whose task is also held out is left out, and a finding says so. Raises
        DatasetError when nothing is left to train on or to hold out, StorageError when it cannot be
        written; then nothing has changed.
        """
        name = check_name(name or source.name)
        if source.held_out is None:
            train, held_out = split_by_group(source.examples, fraction=eval_fraction, seed=seed)
        else:
            train, held_out = list(source.examples), list(source.held_out)
        findings = check_splits(train, held_out)
        train = without_leaks(train, held_out)
        if not train or not held_out:
            raise DatasetError(
                f"Data set {name!r}: {len(train)} examples to train on, {len(held_out)} held out.",
                remedy="Both splits need examples whose tasks differ.",
            )
        lines = {"train": [e.line() for e in train], "eval": [e.line() for e in held_out]}
        content = digest([f"{split}:{digest(rows)}" for split, rows in lines.items()])
        dataset = Dataset(
            id=f"{name}-{content[:_ID_HASH]}",
            name=name,
            agent=agent,
            origin=source.origin,
            created_at=self._clock().isoformat(timespec="microseconds"),
            seed=seed,
            hash=content,
            splits={"train": _summary(train), "eval": _summary(held_out)},
            findings=tuple(findings),
            folder=self._root / f"{name}-{content[:_ID_HASH]}",
        )
        return self._write(dataset, lines)

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

    def list(self, agent: str | None = None) -> list[Dataset]:
        """Return the data sets (of an agent), newest first."""
        folders = (p.parent for p in self._root.glob("[!.]*/dataset.json"))
        found = [_load(folder) for folder in folders]
        wanted = [d for d in found if agent is None or d.agent == agent]
        return sorted(wanted, key=lambda d: (d.created_at, d.id), reverse=True)

    def _write(self, dataset: Dataset, lines: Mapping[str, Sequence[str]]) -> Dataset:
        """Write all files into a folder beside the final one, then rename it: all or nothing."""
        if (dataset.folder / "dataset.json").is_file():
            return _load(dataset.folder)
        temporary: Path | None = None
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=".building-", dir=self._root))
            for split, rows in lines.items():
                _write_synced(temporary / f"{split}.jsonl", "".join(f"{row}\n" for row in rows))
            document = _ADAPTER.dump_json(dataset, exclude={"folder"}, indent=2).decode()
            _write_synced(temporary / "dataset.json", document + "\n")
            temporary.chmod(0o755)
            temporary.rename(dataset.folder)
            _sync_folder(self._root)
        except OSError as error:
            if (dataset.folder / "dataset.json").is_file():  # another process was first
                return _load(dataset.folder)
            raise storage_error(dataset.folder, error) from error
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
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


def _summary(examples: Sequence[Example]) -> Split:
    return Split(
        count=len(examples),
        sha256=digest([example.line() for example in examples]),
        categories=dict(sorted(Counter(e.category for e in examples).items())),
        groups=len({example.group for example in examples}),
    )


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
