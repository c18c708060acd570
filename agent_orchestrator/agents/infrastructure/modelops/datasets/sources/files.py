"""Examples from JSONL, CSV and Parquet files: the user's own, and those that other sources fetch.

Lines are read one at a time. What cannot be read any further (broken quoting in a CSV file, bytes
that are not UTF-8 in one) ends the file with a DatasetError; any other fault is of its row alone.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example, wrong_type
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import (
    BadRow,
    Source,
    Wanted,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.forms import (
    Form,
    Numbered,
    Row,
    examples_of,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.naming import slug
from agent_orchestrator.errors import DatasetError, NotAvailable

Reader = Callable[[str, BinaryIO], Iterator[Numbered]]
"""Yields the rows of a file, given its name and its content."""
_BATCH: Final = 256


def open_file(name: str, wanted: Wanted) -> Source:
    """Open a ``.jsonl``, ``.csv`` or ``.parquet`` file. Raises DatasetError for no such file."""
    path = Path(name)
    reader_of(path.name)
    try:
        if not path.is_file():
            raise DatasetError(
                f"There is no data file {str(path)!r}.", remedy="Check the path and its spelling."
            )
    except OSError as error:
        raise _unreadable(path, error) from error
    return Source(slug(path.stem), path.name, _examples(path, wanted))


def reader_of(name: str) -> Reader:
    """Return what reads a file of this name's kind; DatasetError for an unknown kind."""
    suffix = Path(name).suffix.lower()
    if suffix not in READERS:
        raise DatasetError(
            f"{name}: {suffix!r} is not a known kind of data file.",
            remedy=f"Use {', '.join(READERS)}.",
        )
    return READERS[suffix]


def _examples(path: Path, wanted: Wanted) -> Iterator[Example | BadRow]:
    try:
        with path.open("rb") as file:
            rows = reader_of(path.name)(path.name, file)
            yield from examples_of(rows, path.name, path.stem, columns=wanted.columns)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> DatasetError:
    return DatasetError(
        f"{path.name} cannot be read: {error.strerror}.", remedy="Check the path and its rights."
    )


# ---------------------------------------------------------------- JSON lines


def jsonl_rows(name: str, lines: BinaryIO) -> Iterator[Numbered]:
    """Yield the rows of JSON lines; blank lines are none."""
    for number, raw in enumerate(lines, start=1):
        if raw.strip():
            try:
                yield number, _json_row(raw, number, f"{name}, line {number}")
            except DatasetError as error:
                yield number, error


def _json_row(raw: bytes, number: int, where: str) -> Row:
    text = _decoded(raw, number, where)
    try:
        row = json.loads(text.rstrip("\r\n"), parse_constant=_no_constant)
    except ValueError as error:  # JSONDecodeError is one
        column = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise DatasetError(
            f"{where}{column}: not JSON: {reason}.", remedy="Write one JSON object a line."
        ) from None
    except RecursionError:
        raise DatasetError(
            f"{where}: nested too deeply.", remedy="Correct or remove the row."
        ) from None
    if not isinstance(row, dict):
        raise wrong_type(where, "(row)", "a JSON object", row)
    return row


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _decoded(raw: bytes, number: int, where: str) -> str:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{where}, byte {error.start + 1}: not UTF-8.", remedy="Save the file as UTF-8."
        ) from None


# ---------------------------------------------------------------- CSV


def csv_rows(name: str, lines: BinaryIO) -> Iterator[Numbered]:
    """Yield the rows below a CSV file's header. Raises DatasetError for broken quoting."""
    decoded = (
        _decoded(raw, number, f"{name}, line {number}") for number, raw in enumerate(lines, 1)
    )
    reader = csv.reader(decoded, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        if (wrong := _wrong_header(header, f"{name}, line 1")) is not None:
            yield 1, wrong
            return
        for row in filter(None, reader):
            yield reader.line_num, _csv_row(header, row, f"{name}, line {reader.line_num}")
    except csv.Error as error:
        raise DatasetError(
            f"{name}, line {reader.line_num}: not CSV: {error}.",
            remedy="Correct the quoting, or use .jsonl.",
        ) from None


def _csv_row(header: Sequence[str], row: Sequence[str], where: str) -> Row | DatasetError:
    if len(row) != len(header):
        return DatasetError(
            f"{where}: {len(row)} columns, the header has {len(header)}.",
            remedy='Put values with a comma, a quote or a new line in "quotes".',
        )
    return dict(zip(header, row, strict=True))


def _wrong_header(header: Sequence[str], where: str) -> DatasetError | None:
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        return DatasetError(
            f"{where}: column {min(twice)!r} stands there twice.",
            remedy="Give every column a name of its own.",
        )
    try:  # a list in every cell: whether ``text`` holds conversations, its rows will say
        Form.of(dict.fromkeys(header, "["), where).check(header, where)
    except DatasetError as error:
        return error
    return None


# ---------------------------------------------------------------- Parquet


def parquet_rows(name: str, file: BinaryIO) -> Iterator[Numbered]:
    """Yield the rows of a Parquet file, which is read one group of rows at a time.

    Raises DatasetError for a file that is none, NotAvailable without pyarrow.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - 150 MB that not everybody needs
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise NotAvailable(
            f"{name}: reading Parquet needs pyarrow.",
            remedy="Install it with: pip install 'code-chef[parquet]'.",
        ) from None
    try:
        number = 0
        for batch in pq.ParquetFile(file).iter_batches(batch_size=_BATCH):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except pa.ArrowInvalid as error:
        raise DatasetError(
            f"{name}: not Parquet: {str(error).splitlines()[0]}.", remedy="Mend or convert it."
        ) from None


#: Suffix → what reads such a file.
READERS: Final[Mapping[str, Reader]] = {
    ".jsonl": jsonl_rows,
    ".csv": csv_rows,
    ".parquet": parquet_rows,
}
