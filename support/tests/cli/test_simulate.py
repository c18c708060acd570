"""Planning a canary at the terminal."""

import json
from pathlib import Path

from tests.cli.conftest import Chef

CANARY = ("simulate", "canary", "--candidate-rate", "0.5", "--runs", "20", "--max-requests", "100")


def test_the_picture_goes_to_a_file_and_the_numbers_to_the_terminal(chef: Chef, tmp_path: Path):
    """Also as JSON, which leaves the picture out."""
    path = tmp_path / "canary.svg"
    done = chef(*CANARY, "--plot", str(path), "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert found["rollback_rate"] == 1.0
    assert found["plot_svg"] is None
    assert path.read_text().startswith("<svg ")


def test_a_file_that_cannot_be_written_is_named(chef: Chef, tmp_path: Path):
    """As bad input, with what to do."""
    done = chef(*CANARY, "--plot", str(tmp_path / "nowhere" / "canary.svg"))
    assert done.code == 2
    assert "nowhere/canary.svg" in done.err
    assert "folder that exists" in done.err


def test_the_days_are_told_when_the_traffic_is(chef: Chef):
    """Requests of both arms a day."""
    assert " days, " in chef(*CANARY, "--requests-per-day", "50").out
    assert " days, " not in chef(*CANARY).out
