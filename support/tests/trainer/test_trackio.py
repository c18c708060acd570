"""A job's curves in Trackio, which is not part of the engines' environments."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.workshop import events, job_folder, run_worker

pytestmark = pytest.mark.trainer

#: Trackio's interface as far as it is used, written down instead of shown.
DOUBLE = """
import json
class Run:
    def log(self, metrics, step=None):
        tell("log", metrics=metrics, step=step)
def tell(what, **said):
    with open("trackio.jsonl", "a") as file:
        file.write(json.dumps({"what": what, **said}) + "\\n")
def init(project, name=None, space_id=None, config=None, resume="never", embed=True,
         auto_log_cpu=None, auto_log_gpu=None):
    import os
    tell("init", project=project, name=name, space=space_id, rate=config["learning_rate"],
         resume=resume, folder=os.environ["TRACKIO_DIR"])
    return Run()
def finish():
    tell("finish")
"""


def told(folder: Path) -> list[dict[str, Any]]:
    """Return what Trackio was told."""
    return [json.loads(line) for line in (folder / "trackio.jsonl").read_text().splitlines()]


def test_trackio_is_told_of_every_step(base: Path, tmp_path: Path):
    """The curves of the progress lines, in a run that is named after the job."""
    (tmp_path / "double").mkdir()
    (tmp_path / "double" / "trackio.py").write_text(DOUBLE)
    folder = job_folder(tmp_path / "job_1", base, trackio={"project": "chef"})
    assert run_worker(folder, PYTHONPATH=str(tmp_path / "double")) == 0
    first, *logged, last = told(folder)
    assert (first["what"], first["project"], first["name"]) == ("init", "chef", "job_1")
    assert (first["space"], first["rate"], first["resume"]) == (None, 3e-3, "allow")
    assert first["folder"] == str(folder / "trackio")
    assert last == {"what": "finish"}
    steps = [event for event in events(folder) if event["event"] == "step"]
    assert [(one["step"], one["metrics"]["loss"]) for one in logged] == [
        (event["step"], event["loss"]) for event in steps
    ]
    assert all("learning_rate" in one["metrics"] for one in logged)


def test_a_job_that_wants_trackio_says_when_it_is_not_there(base: Path, tmp_path: Path):
    """Before the training, with what to do."""
    (tmp_path / "double").mkdir()
    (tmp_path / "double" / "trackio.py").write_text("raise ImportError('no trackio here')")
    folder = job_folder(tmp_path / "job_1", base, trackio={"project": "chef"})
    assert run_worker(folder, PYTHONPATH=str(tmp_path / "double")) == 1
    failure = json.loads((folder / "failure.json").read_text())
    assert failure["kind"] == "unavailable"
    assert "no trackio here" in failure["message"]
    assert "CHEF_TRACKIO_PROJECT" in failure["remedy"]
