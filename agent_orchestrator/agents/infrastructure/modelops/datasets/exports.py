"""Data sets in the forms that trainers read: JSON lines, and AutoTrain's CSV files.

AutoTrain reads a folder: for SFT ``train.csv`` with a column ``text`` that holds the messages, for
DPO and ORPO ``prompt``, ``chosen``, ``rejected``. It takes no held-out file; ours lies beside.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.datasets.drafts import SplitName
from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import Dataset, DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.datasets.training_rows import row_of
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import (
    DatasetExported,
    ExportDataset,
    ExportForm,
)
from agent_orchestrator.errors import DatasetError, StorageError

Row = dict[str, Any]
Shape = Callable[[Example], Row | None]


def _messages(example: Example) -> Row | None:
    return row_of(example, "sft")


def _prompt_completion(example: Example) -> Row | None:
    if not example.label:
        return None
    answer = [{"role": "assistant", "content": example.label}]
    return {"prompt": example.messages, "completion": answer}


def _preference(example: Example) -> Row | None:
    return row_of(example, "dpo")


def _problem(example: Example) -> Row | None:
    return row_of(example, "grpo")


def _chat_text(example: Example) -> Row | None:
    row = row_of(example, "sft")
    return row and {"text": json.dumps(row["messages"], ensure_ascii=False)}


def _text_response(example: Example) -> Row | None:
    return {"text": example.task, "response": example.label} if example.label else None


def _plain_preference(example: Example) -> Row | None:
    row = row_of(example, "dpo")
    return row and {**row, "prompt": example.task}


#: Form → suffix of its files, and what makes a row of an example.
_FORMS: Final[Mapping[ExportForm, tuple[str, Shape]]] = {
    "messages": (".jsonl", _messages),
    "prompt_completion": (".jsonl", _prompt_completion),
    "preference": (".jsonl", _preference),
    "problem": (".jsonl", _problem),
    "autotrain_chat": (".csv", _chat_text),
    "autotrain_text": (".csv", _text_response),
    "autotrain_preference": (".csv", _plain_preference),
}


class DatasetExports:
    """Writes data sets in other forms."""

    def __init__(self, datasets: DatasetStore) -> None:
        self._datasets = datasets

    def plan(self, request: ExportDataset, _caller: Caller) -> Plan:
        """Plan an export. Raises DatasetError when there is no such data set."""
        dataset = self._datasets.get(request.name)
        folder = Path(request.folder)

        async def act(_approval_id: str | None) -> DatasetExported:
            return await anyio.to_thread.run_sync(export, dataset, request.form, folder)

        return Plan(
            summary=f"Write {dataset.id} as {request.form} into {folder}.",
            act=act,
            details={"counts": dataset.counts},
        )


def export(dataset: Dataset, form: ExportForm, folder: Path) -> DatasetExported:
    """Write both splits; files of the same name are replaced.

    Raises DatasetError when no example has what the form needs, StorageError when a file cannot be
    written.
    """
    suffix, shape = _FORMS[form]
    if not any(shape(example) for example in dataset.stream("train")):
        raise DatasetError(
            f"No example of {dataset.id} can be written as {form}.",
            remedy="Choose a form whose columns it has.",
        )
    files: dict[str, int] = {}
    splits: tuple[SplitName, ...] = ("train", "eval")
    for split in splits:
        path = folder / f"{split}{suffix}"
        rows = (row for example in dataset.stream(split) if (row := shape(example)) is not None)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files[str(path)] = _write(path, rows)
        except OSError as error:
            raise StorageError(
                f"Cannot write {str(path)!r}: {error.strerror}.",
                remedy="Name a folder that is yours, on a disk with space.",
            ) from error
    left_out = sum(dataset.counts.values()) - sum(files.values())
    return DatasetExported(dataset=dataset.id, files=files, left_out=left_out)


def _write(path: Path, rows: Iterator[Row]) -> int:
    """Write rows, CSV or JSON lines by the file's suffix; return how many."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        for row in rows:
            if path.suffix == ".csv":
                file.write(_csv_lines(row, header=count == 0))
            else:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def _csv_lines(row: Row, *, header: bool) -> str:
    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(row), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerow(row)
    return lines.getvalue()
