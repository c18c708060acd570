"""Checking, showing, listing and exporting data sets as use cases."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest
from tests.doubles.planted_data import write_planted
from tests.doubles.sources import open_local, read
from tests.modelops.world import AGENT, World

from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source
from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import (
    BuildDataset,
    CheckDataset,
    DatasetReport,
    ExportDataset,
    ListDatasets,
    ShowDataset,
)
from agent_orchestrator.errors import DatasetError


def text(path: object) -> str:
    """Return a file's text."""
    return Path(str(path)).read_text(encoding="utf-8")


def written(path: Path, content: str) -> str:
    """Write a file; return its path."""
    path.write_text(content, encoding="utf-8")
    return str(path)


@pytest.fixture
def planted(tmp_path: Path) -> str:
    """Return a source with every fault."""
    return str(write_planted(tmp_path / "planted.jsonl"))


async def test_a_check_reports_and_builds_nothing(world: World, planted: str) -> None:
    """The report is complete in the result, in a file of JSON and on a page without scripts."""
    report = await world.run("check_dataset", CheckDataset(agent=AGENT, source=planted))
    assert report.usable
    assert report.dataset is None
    assert {finding.kind for finding in report.findings} >= {"secret", "bad_row", "duplicate"}
    assert report.trainable["sft"] > 60
    assert report.trainable["dpo"] == 0
    assert report.tokens is not None
    assert report.tokens.p50 <= report.tokens.p95 <= report.tokens.max
    assert sum(count for _, count in report.tokens.bars) > 60
    assert not report.tokens_exact
    assert "estimated" in report.tokens_how
    assert sum(report.languages.values()) == pytest.approx(1)
    assert world.datasets.list() == []
    assert DatasetReport.model_validate_json(text(report.reports["json"])) == report
    page = text(report.reports["html"])
    assert "AWS Access Key 1" in page
    assert "<script" not in page


async def test_what_is_checked_is_what_is_built(world: World, planted: str) -> None:
    """Building the same source gives the hash, counts and findings that the check announced."""
    checked = await world.run("check_dataset", CheckDataset(agent=AGENT, source=planted))
    built = await world.run("build_dataset", BuildDataset(agent=AGENT, source=planted))
    shown = await world.run("show_dataset", ShowDataset(name=built.dataset))
    for one in (checked, built):
        assert (one.dataset_hash, one.counts, one.findings) == (
            shown.dataset_hash,
            shown.counts,
            shown.findings,
        )
    assert shown.tokens == checked.tokens
    assert shown.rows_read == checked.rows_read


async def test_a_source_that_cannot_be_used_is_still_reported(world: World, tmp_path: Path) -> None:
    """The report says why, instead of an error."""
    path = written(tmp_path / "one.jsonl", '{"prompt": "a", "completion": "b"}\n')
    report = await world.run("check_dataset", CheckDataset(agent=AGENT, source=path))
    assert not report.usable
    assert "holds one example" in report.problem
    assert "Cannot be used" in text(report.reports["html"])


async def test_data_sets_are_listed(world: World, planted: str) -> None:
    """Newest first, of one agent or of all."""
    for seed in (0, 1):
        await world.run("build_dataset", BuildDataset(agent=AGENT, source=planted, seed=seed))
    listed = await world.run("list_datasets", ListDatasets())
    assert len(listed.datasets) == 2
    assert listed.datasets[0].created_at >= listed.datasets[1].created_at
    nobody = await world.run("list_datasets", ListDatasets(agent="nobody"))
    assert nobody.datasets == []


async def test_an_old_data_set_without_a_profile_can_be_shown(world: World, planted: str) -> None:
    """What was not counted when it was built is absent, not zero."""
    built = await world.run("build_dataset", BuildDataset(agent=AGENT, source=planted))
    path = Path(built.path) / "dataset.json"
    document = json.loads(text(path))
    del document["profile"], document["rows_read"]
    written(path, json.dumps(document))
    shown = await world.run("show_dataset", ShowDataset(name=built.dataset))
    assert (shown.tokens, shown.rows_read) == (None, None)
    assert "not counted" in shown.tokens_how


# ---------------------------------------------------------------- other forms


async def built_of(world: World, rows: list[dict[str, str]], path: Path) -> str:
    """Build a data set of rows; return its id."""
    written(path, "".join(json.dumps(row) + "\n" for row in rows))
    built = await world.run("build_dataset", BuildDataset(agent=AGENT, source=str(path)))
    return str(built.dataset)


@pytest.mark.parametrize(
    ("form", "columns"),
    [
        ("messages", {"messages"}),
        ("prompt_completion", {"prompt", "completion"}),
        ("preference", {"prompt", "chosen", "rejected"}),
        ("problem", {"problem", "solution"}),
        ("autotrain_chat", {"text"}),
        ("autotrain_text", {"text", "response"}),
        ("autotrain_preference", {"prompt", "chosen", "rejected"}),
    ],
)
async def test_every_form_has_its_columns_and_can_be_read_back(
    world: World, tmp_path: Path, form: str, columns: set[str]
) -> None:
    """A file that was written is a source again, with the same tasks and answers."""
    rows = [
        {"prompt": f'Say "{n}", please.', "chosen": f"It's\n{n}.", "rejected": "No."}
        for n in range(20)
    ]
    name = await built_of(world, rows, tmp_path / "pairs.jsonl")
    request = ExportDataset(name=name, form=form, folder=str(tmp_path / "out"))
    exported = await world.run("export_dataset", request)
    path = next(Path(file) for file in exported.files if "train" in file)
    found = (
        csv.DictReader(io.StringIO(text(path)))
        if path.suffix == ".csv"
        else (json.loads(line) for line in text(path).splitlines())
    )
    assert set(next(iter(found))) == columns
    dataset = world.datasets.get(name)
    expected = {(e.task, e.label) for e in dataset.examples("train")}
    assert {(e.task, e.label) for e in read(open_local(path))} == expected
    assert sum(exported.files.values()) == 20


async def test_examples_that_lack_what_a_form_needs_are_counted(
    world: World, tmp_path: Path
) -> None:
    """None at all is an error, and a dry run writes nothing."""
    rows = [{"prompt": f"Say {n}, please.", "completion": f"It is {n}."} for n in range(9)]
    name = await built_of(world, rows, tmp_path / "rows.jsonl")
    folder = tmp_path / "out"
    with pytest.raises(DatasetError, match="can be written as preference"):
        await world.run(
            "export_dataset", ExportDataset(name=name, form="preference", folder=str(folder))
        )
    planned = ExportDataset(name=name, form="messages", folder=str(folder), dry_run=True)
    await world.run("export_dataset", planned)
    assert not os.path.exists(folder)  # noqa: ASYNC240, PTH110


def test_prompt_and_completion_may_be_conversations(tmp_path: Path) -> None:
    """As TRL writes them: the last turn is the answer."""
    row = {
        "prompt": [{"role": "user", "content": "Hi."}],
        "completion": [{"role": "assistant", "content": "Yo."}],
    }
    path = tmp_path / "trl.jsonl"
    path.write_text(json.dumps(row) + "\n")
    source: Source = open_local(path)
    [example] = read(source)
    assert (example.task, example.label) == ("Hi.", "Yo.")
