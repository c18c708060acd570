"""What is wrong with a data set's content: leaks, duplicates, contradictions, missing answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent_orchestrator.agents.infrastructure.modelops.examples import Example, normalised

FindingKind = Literal[
    "leak_exact", "leak_normalised", "duplicate", "contradiction", "missing_answer", "shared_group"
]
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the check found."""

    kind: FindingKind
    count: int
    """Examples concerned."""
    message: str
    suggestion: str
    examples: tuple[str, ...]
    """Ids of the first few."""


def check_splits(train: Sequence[Example], held_out: Sequence[Example]) -> list[Finding]:
    """Return the findings of a split data set, the gravest first."""
    exact, near = leaks(train, held_out)
    everything = [*train, *held_out]
    candidates = [
        _finding(
            "leak_exact",
            exact,
            "held-out tasks also stand in the training split; their training rows were left out",
            "Give such rows one metadata.group, or remove them from the source.",
        ),
        _finding(
            "leak_normalised",
            near,
            "held-out tasks differ from a training task in case or white space only; "
            "their training rows were left out",
            "Give such rows one metadata.group, or remove them from the source.",
        ),
        _finding(
            "shared_group",
            _shared_groups(train, held_out),
            "held-out examples belong to a group that is also trained on",
            "Split the source by group, or leave the split to build_dataset.",
        ),
        _finding(
            "contradiction",
            _contradictions(everything),
            "examples have the same task and different answers",
            "Keep the right answer and remove the others.",
        ),
        _finding(
            "duplicate",
            [*_duplicates(train), *_duplicates(held_out)],
            "examples repeat a task of their own split",
            "Remove the copies: they count the same task twice.",
        ),
        _finding(
            "missing_answer",
            [example for example in everything if example.label is None],
            "examples have no answer; they are neither trained on nor scored for accuracy",
            "Fill outputs.answer or remove the rows.",
        ),
    ]
    return [finding for finding in candidates if finding is not None]


def leaks(
    train: Sequence[Example], held_out: Sequence[Example]
) -> tuple[list[Example], list[Example]]:
    """Return the held-out examples whose task is trained on: as it stands, and normalised only."""
    tasks = {example.task for example in train}
    forms = {normalised(task) for task in tasks}
    exact = [example for example in held_out if example.task in tasks]
    near = [e for e in held_out if e.task not in tasks and normalised(e.task) in forms]
    return exact, near


def without_leaks(train: Sequence[Example], held_out: Sequence[Example]) -> list[Example]:
    """Return the training examples whose normalised task is not held out."""
    forms = {normalised(example.task) for example in held_out}
    return [example for example in train if normalised(example.task) not in forms]


def _shared_groups(train: Sequence[Example], held_out: Sequence[Example]) -> list[Example]:
    """Held-out examples of a trained group, other than leaks, which have findings of their own."""
    groups = {example.group for example in train}
    leaked = {example.id for found in leaks(train, held_out) for example in found}
    return [e for e in held_out if e.group in groups and e.id not in leaked]


def _contradictions(examples: Sequence[Example]) -> list[Example]:
    answers: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        if example.label is not None:
            answers[normalised(example.task)].add(normalised(example.label))
    return [e for e in examples if len(answers[normalised(e.task)]) > 1]


def _duplicates(examples: Sequence[Example]) -> list[Example]:
    """Every example but the first with its task."""
    seen: Counter[str] = Counter()
    copies = []
    for example in examples:
        form = normalised(example.task)
        if seen[form]:
            copies.append(example)
        seen[form] += 1
    return copies


def _finding(
    kind: FindingKind, examples: Sequence[Example], message: str, suggestion: str
) -> Finding | None:
    if not examples:
        return None
    shown = tuple(example.id for example in examples[:_SHOWN])
    return Finding(kind, len(examples), f"{len(examples)} {message}.", suggestion, shown)
