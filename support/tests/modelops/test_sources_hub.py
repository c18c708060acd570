"""The Hub as a source of examples, through its real client."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.doubles.hub import WRITE, HubDouble
from tests.doubles.sources import read

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source, Wanted
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.hub import HubDatasets
from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub
from agent_orchestrator.errors import ConfigurationError, DatasetError, UnavailableError

NAME = "acme/tasks"


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    """Return a Hub on loopback."""
    with HubDouble() as hub:
        yield hub


def rows(*tasks: str, column: str = "prompt") -> list[dict[str, str]]:
    """Return a row for each task."""
    return [{column: task, "completion": f"{task}!"} for task in tasks]


def jsonl(*tasks: str) -> str:
    """Return JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows(*tasks))


def parquet(table: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a Parquet file."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(table)), file)
    return file.getvalue()


def opened(hub: HubDouble, name: str = NAME, token: str | None = None, **columns: str) -> Source:
    """Open a data set."""
    wanted = Wanted(agent="feature_dev", columns=columns)
    return HubDatasets(Hub(token, hub.url)).open(name, wanted)


def tasks(source: Source) -> tuple[list[str], list[str] | None]:
    """Return the tasks to train on, and those that are held out."""
    held_out = None if source.held_out is None else list(source.held_out)
    names = None if held_out is None else [r.task for r in held_out if isinstance(r, Example)]
    return [example.task for example in read(source)], names


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a.jsonl": jsonl("1", "2")}, (["1", "2"], None)),
        ({"b.jsonl": jsonl("2"), "a.jsonl": jsonl("1")}, (["1", "2"], None)),
        ({"train.jsonl": jsonl("1"), "test.jsonl": jsonl("2")}, (["1"], ["2"])),
        ({"data/train-00000-of-00002.parquet": parquet(rows("1")),
          "data/train-00001-of-00002.parquet": parquet(rows("2")),
          "data/validation-00000-of-00001.parquet": parquet(rows("3"))}, (["1", "2"], ["3"])),
        ({"train/a.csv": "prompt,completion\n1,x\n", "dev/a.csv": "prompt,completion\n2,x\n"},
         (["1"], ["2"])),
        ({"train.jsonl": jsonl("1"), "test.jsonl": jsonl("2"), "validation.jsonl": jsonl("3")},
         (["1"], ["2"])),
        ({"test.jsonl": jsonl("1")}, (["1"], None)),
        ({"contest.jsonl": jsonl("1"), "a.jsonl": jsonl("2")}, (["2", "1"], None)),
        ({"README.md": "# Tasks", "a.jsonl": jsonl("1"), "a.parquet": b"?"}, (["1"], None)),
    ],
)  # fmt: skip
def test_files_are_read_by_the_splits_that_their_names_say(
    hub: HubDouble, files: dict[str, bytes | str], expected: tuple[list[str], list[str] | None]
) -> None:
    """Names and folders say what is trained on and what is held out; one kind of file is read."""
    hub.repos.add("dataset", NAME, files)
    assert tasks(opened(hub)) == expected


def test_a_data_set_is_streamed_from_the_commit_that_it_names(hub: HubDouble) -> None:
    """What is read and what is said of it are the same commit, and ranges are asked for."""
    repo = hub.repos.add("dataset", NAME, {"a.jsonl": jsonl("old")})
    first = repo.commits[-1].oid
    source = opened(hub)
    assert source.origin == f"Hub data set {NAME}@{first[:12]}"
    assert source.name == "tasks"
    from tests.doubles.hub_repository import File

    repo.commit("newer", {"a.jsonl": File(jsonl("new").encode(), lfs=False)})
    assert tasks(source) == (["old"], None)
    assert tasks(opened(hub)) == (["new"], None)
    assert tasks(opened(hub, f"{NAME}@{first}")) == (["old"], None)
    with pytest.raises(DatasetError, match="no revision 'nothing'"):
        opened(hub, f"{NAME}@nothing")


def test_one_of_several_configurations_is_named(hub: HubDouble) -> None:
    """Reading all of them would count the same tasks twice."""
    files = {"main/train.jsonl": jsonl("1"), "socratic/train.jsonl": jsonl("2")}
    hub.repos.add("dataset", NAME, files)
    assert tasks(opened(hub, f"{NAME}:socratic")) == (["2"], None)
    with pytest.raises(DatasetError, match=r"several configurations.*<folder>: main, socratic"):
        opened(hub)
    with pytest.raises(DatasetError, match="no folder 'other'"):
        opened(hub, f"{NAME}:other")


def test_columns_are_renamed_and_dates_are_bad_rows(hub: HubDouble) -> None:
    """question=prompt; a value that JSON cannot hold is one row's fault."""
    from datetime import UTC, datetime

    table = [
        {"question": "1", "completion": "a", "at": None},
        {"question": "2", "completion": "b", "at": datetime(2026, 1, 1, tzinfo=UTC)},
    ]
    hub.repos.add("dataset", NAME, {"a.parquet": parquet(table)})
    first, second = opened(hub, question="prompt").examples
    assert isinstance(first, Example)
    assert first.task == "1"
    assert "not JSON serializable" in str(getattr(second, "error", ""))


def test_what_cannot_be_read_says_what_to_do(hub: HubDouble) -> None:
    """Unknown, impossible, private, gated and empty data sets are told apart."""
    hub.repos.add("dataset", "acme/private", {"a.jsonl": jsonl("1")}, private=True)
    hub.repos.add("dataset", "acme/pictures", {"a.png": b"?"})
    for name, message in {
        "acme/nothing": "no data set 'acme/nothing'",
        "acme/private": "HUGGINGFACE_TOKEN",
        "acme/pictures": r"no \.jsonl, \.csv, \.parquet file",
        "tasks": "hub:<owner/name>",
    }.items():
        with pytest.raises(DatasetError, match=message):
            opened(hub, name)
    assert tasks(opened(hub, "acme/private", WRITE)) == (["1"], None)
    hub.repos.add("dataset", "other/gated", {"a.jsonl": jsonl("1")}, gated="manual")
    with pytest.raises(DatasetError, match="'other/gated' is gated"):
        read(opened(hub, "other/gated", WRITE))


def test_a_hub_that_fails_is_not_the_data_sets_fault(hub: HubDouble) -> None:
    """A refused token and a broken service have errors of their own."""
    hub.repos.add("dataset", NAME, {"a.jsonl": jsonl("1")})
    with pytest.raises(ConfigurationError, match="refused the token"):
        opened(hub, token="hf_unknown")
    hub.fail(500, path="/api/datasets", times=10)
    with pytest.raises(UnavailableError, match="asked for the data set 'acme/tasks'"):
        opened(hub)
