"""A job's events and its failure, also on a full disk."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent_orchestrator.trainer.diagnosis import Failure
from agent_orchestrator.trainer.progress import BALLAST_BYTES, ProgressLog

FAILURE = Failure("disk_full", "The disk is full.", "Free some space.")


def lines(folder: Path) -> list[dict[str, Any]]:
    """Return the progress lines."""
    return [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]


def test_each_event_is_one_line_that_can_be_read_at_once(tmp_path: Path):
    """A line stands in the file when the call returns."""
    progress = ProgressLog(tmp_path)
    progress.event("started", "starting")
    progress.event("step", step=1, loss=0.5)
    assert [event["event"] for event in lines(tmp_path)] == ["started", "step"]
    assert lines(tmp_path)[1]["loss"] == 0.5
    assert lines(tmp_path)[0]["at"] > 0


def test_a_number_that_json_does_not_know_is_an_error(tmp_path: Path):
    """NaN must not reach a reader: the loss is checked before."""
    with pytest.raises(ValueError, match="JSON"):
        ProgressLog(tmp_path).event("step", loss=float("nan"))


def test_a_failure_stands_in_both_files(tmp_path: Path):
    """A reader of either file learns kind, message and remedy."""
    assert ProgressLog(tmp_path).fail(FAILURE)
    written = json.loads((tmp_path / "failure.json").read_text())
    assert written == {"kind": "disk_full", "message": FAILURE.message, "remedy": FAILURE.remedy}
    assert lines(tmp_path)[0]["event"] == "failed"
    assert lines(tmp_path)[0]["kind"] == "disk_full"


def test_room_for_the_failure_is_held_and_given_back(tmp_path: Path):
    """What was reserved while there was room is free when the failure must be written."""
    progress = ProgressLog(tmp_path)
    progress.reserve()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == BALLAST_BYTES
    progress.fail(FAILURE)
    assert {path.name for path in tmp_path.iterdir()} == {"failure.json", "progress.jsonl"}


def test_a_failure_that_cannot_be_written_does_not_raise(tmp_path: Path):
    """On a disk without any room the process still ends in order."""
    (tmp_path / "failure.json").symlink_to("/dev/full")
    assert not ProgressLog(tmp_path).fail(FAILURE)
