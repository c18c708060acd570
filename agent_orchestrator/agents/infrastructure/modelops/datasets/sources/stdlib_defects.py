"""A code-review data set that every machine can make: the standard library with planted defects.

Functions of the Python that runs this, each with at most one defect planted by an edit of its
syntax tree; the task is to name the defect, or to answer ``clean``. Every function is printed by
``ast.unparse``, changed or not, so that formatting tells nothing; the detectors of
``defect_rules`` make sure that an example has the defect that its label names and no other.

Split by file: no file lends functions to both splits. A function appears once: functions that are
equal after renaming their identifiers and constants count as the same.
"""

from __future__ import annotations

import ast
import hashlib
import os
import random
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypedDict

from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.defect_rules import (
    DEFECTS,
    Function,
    defects_of,
)
from agent_orchestrator.errors import DatasetError

NAME: Final = "stdlib-defects"
AGENT: Final = "code_review"
CLEAN: Final = "clean"
LABELS: Final = (*DEFECTS, CLEAN)
PROMPT: Final = "Name the defect in this function, or answer clean.\n\n"
MIN_CHARS: Final = 80
MAX_CHARS: Final = 420
MAX_LINES: Final = 40
"""A look at the source's lines, before the costlier one at the printed characters."""
PER_FILE: Final = 80
"""Functions that one file may lend, so that no file dominates a split."""
EVAL_PER_LABEL: Final = 60
TRAIN_PER_LABEL: Final = 560

_FOREIGN: Final = frozenset({"site-packages", "dist-packages", "test", "tests", "idle_test"})


class Row(TypedDict):
    """One example in LangSmith's shape; ``id`` is a hash of its task."""

    id: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """One function of the standard library."""

    file: str
    """Relative to the standard library, e.g. ``json/decoder.py``."""
    line: int
    code: str
    """As ``ast.unparse`` prints it."""


def build(
    seed: int = 0,
    *,
    train_per_label: int = TRAIN_PER_LABEL,
    eval_per_label: int = EVAL_PER_LABEL,
    library: Path | None = None,
) -> tuple[list[Row], list[Row]]:
    """Return the training and the held-out examples, as many for each of ``LABELS``.

    Files are drawn in an order that the seed gives; the first ones are held out. The same Python
    and seed give the same examples. ``library`` is this Python's own by default. Raises
    DatasetError when the library has too few functions, or comes without its source.
    """
    rng = random.Random(seed)  # noqa: S311 - a reproducible draw, not a secret
    root = library or Path(sysconfig.get_path("stdlib"))
    files = sorted(_library_files(root))
    rng.shuffle(files)
    remaining = iter(files)
    seen: set[str] = set()
    evaluation = _collect(remaining, root, eval_per_label, seen, rng)
    training = _collect(remaining, root, train_per_label, seen, rng)
    return training, evaluation


def shuffle_labels(rows: Sequence[Row], seed: int = 0) -> list[Row]:
    """Return the rows with their answers permuted: training on them teaches nothing."""
    answers = [row["outputs"] for row in rows]
    random.Random(seed).shuffle(answers)  # noqa: S311
    return [
        {
            "id": row["id"],
            "inputs": row["inputs"],
            "outputs": answer,
            "metadata": {**row["metadata"], "category": answer["answer"]},
        }
        for row, answer in zip(rows, answers, strict=True)
    ]


def _library_files(root: Path) -> Iterator[Path]:
    """Yield the source files of the library proper: no tests, nothing that was installed."""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in _FOREIGN]
        yield from (Path(folder, name) for name in names if name.endswith(".py"))


def _collect(
    files: Iterator[Path], root: Path, per_label: int, seen: set[str], rng: random.Random
) -> list[Row]:
    """Take files until every label has its share; each function gets the rarest label it can."""
    by_label: dict[str, list[Row]] = {label: [] for label in LABELS}
    while min(map(len, by_label.values())) < per_label:
        path = next(files, None)
        if path is None:
            raise DatasetError(
                f"The standard library under {str(root)!r} has too few functions for "
                f"{per_label} examples per label.",
                remedy="Use a Python that is installed with its library's source files.",
            )
        for function in _functions(path, root, rng):
            form = _normalised(function.code)
            if form not in seen:
                seen.add(form)
                _add(function, by_label, per_label, seen, rng)
    rows = [row for label in LABELS for row in by_label[label]]
    rng.shuffle(rows)
    return rows


def _add(
    function: Source,
    by_label: dict[str, list[Row]],
    per_label: int,
    seen: set[str],
    rng: random.Random,
) -> None:
    wanted = [label for label in LABELS if len(by_label[label]) < per_label]
    for label in sorted(wanted, key=lambda label: (len(by_label[label]), rng.random())):
        code = _plant(function.code, label, rng)
        if code is not None and code not in seen:
            seen.add(code)
            by_label[label].append(_row(function, label, code))
            return


def _functions(path: Path, root: Path, rng: random.Random) -> list[Source]:
    """Return up to ``PER_FILE`` functions of a fitting size of one file, in random order."""
    file = path.relative_to(root).as_posix()
    nodes = [
        node
        for node in ast.walk(_parse(path))
        if isinstance(node, Function) and 1 < _lines(node) <= MAX_LINES
    ]
    rng.shuffle(nodes)
    functions = (Source(file, node.lineno, ast.unparse(node)) for node in nodes)
    return list(islice((f for f in functions if _fits(f.code)), PER_FILE))


def _lines(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _fits(code: str) -> bool:
    return MIN_CHARS <= len(code) <= MAX_CHARS


def _parse(path: Path) -> ast.Module:
    """Parse a source file; one that this Python cannot read has no functions."""
    try:
        with warnings.catch_warnings(), tokenize.open(path) as text:
            warnings.simplefilter("ignore")
            return ast.parse(text.read())
    except (SyntaxError, ValueError):  # e.g. lib2to3's samples of Python 2
        return ast.Module(body=[], type_ignores=[])


def _function(code: str) -> Function:
    node = ast.parse(code).body[0]
    if not isinstance(node, Function):
        raise TypeError(code)
    return node


def _normalised(code: str) -> str:
    """Return a form in which renamed identifiers and other constants make no difference."""
    names: dict[str, str] = {}
    tree = _function(code)
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                node.name = "f"
            case ast.Name():
                node.id = names.setdefault(node.id, f"v{len(names)}")
            case ast.arg():
                node.arg = names.setdefault(node.arg, f"v{len(names)}")
            case ast.Constant():
                node.value = type(node.value).__name__
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _plant(code: str, label: str, rng: random.Random) -> str | None:
    """Return the code with the label's defect and no other, None where that cannot be."""
    tree = _function(code)
    if label != CLEAN and not DEFECTS[label].plant(tree, rng):
        return None
    if defects_of(tree) != {label} - {CLEAN}:
        return None
    planted = ast.unparse(tree)
    return planted if _fits(planted) else None


def _row(function: Source, label: str, code: str) -> Row:
    task = PROMPT + code
    return {
        "id": "sd_" + hashlib.sha256(task.encode()).hexdigest()[:16],
        "inputs": {"task": task},
        "outputs": {"answer": label},
        "metadata": {
            "agent": AGENT,
            "success": True,
            "group": function.file,
            "category": label,
            "source": f"{function.file}:{function.line}",
        },
    }
