"""Jobs at the command line: started, followed to their end, cancelled, listed."""

import json
import os
import pty
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.cli.conftest import Chef
from tests.doubles.workspace import Workspace

from agent_orchestrator.settings import own_python

TRAIN = ("train", "code_review", "--base-model", "local/tiny-code")
FAILURE = {"kind": "unknown_base_model", "message": "No such model.", "remedy": "Name another."}


@pytest.fixture(autouse=True)
def dataset(workspace: Workspace) -> None:
    """Build a data set in every workspace."""
    workspace.build_dataset()


def test_a_training_is_followed_to_its_version(chef: Chef):
    """One JSON document on stdout, progress on stderr, exit code 0."""
    done = chef(*TRAIN, "--wait", "--json")
    assert done.code == 0, done.err
    report = done.json
    assert (report["status"], report["version"]) == ("completed", "v1.0.0")
    assert (report["current_step"], report["total_steps"]) == (3, 3)
    assert report["current_loss"] == pytest.approx(2 / 3)
    assert report["tensorboard_url"].startswith("file:///")
    assert "step 3/3, loss 0.6667" in done.err


def test_people_see_the_estimate_and_the_version(chef: Chef):
    """In a line each, before and after."""
    done = chef(*TRAIN, "--wait")
    assert done.code == 0, done.err
    first, second = done.out.splitlines()
    assert first.startswith("Training local/code-chef-code-review-")
    assert first.endswith(" min, $0.00.")
    assert second.endswith("loss 0.6667, registered as v1.0.0.")


def test_trackio_is_asked_for_by_configuration(
    chef: Chef, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    """The worker's specification names project and Space."""
    monkeypatch.setenv("CHEF_TRACKIO_PROJECT", "chef")
    monkeypatch.setenv("CHEF_TRACKIO_SPACE", "acme/trackio")
    job_id = chef(*TRAIN, "--json").json["job_id"]
    spec = json.loads((workspace.state / "jobs" / job_id / "spec.json").read_text())
    assert spec["trackio"] == {"project": "chef", "space": "acme/trackio"}


def test_a_training_that_is_not_waited_for_returns_its_job(chef: Chef):
    """Any later command finds it."""
    started = chef(*TRAIN, "--json").json
    assert started["approval"] == "none needed"
    report = chef("job", started["job_id"], "--follow", "--json").json
    assert (report["status"], report["hub_repo"]) == ("completed", started["hub_repo"])
    assert chef("job", "--agent", "code_review", "--json").json == report


def test_a_dry_run_starts_nothing(chef: Chef, workspace: Workspace):
    """It says what would happen, what it costs, and whether it needs an approval."""
    done = chef(*TRAIN, "--dry-run", "--json")
    assert (done.code, done.json["dry_run"], done.json["approval_needed"]) == (0, True, False)
    assert not (workspace.state / "jobs").exists()
    assert chef("jobs", "--json").json == []
    said = chef(*TRAIN, "--dry-run").out.splitlines()
    assert said[0].startswith("Would: Train local/tiny-code for code_review by sft on ")
    assert said[1:3] == ["Cost: $0.00", "Approval: not needed"]


def test_a_failed_job_is_exit_code_1_with_the_diagnosis(chef: Chef, workspace: Workspace):
    """For machines the report alone is on stdout."""
    workspace.scenario(failure=FAILURE)
    done = chef(*TRAIN, "--wait", "--json")
    assert done.code == 1
    assert (done.json["status"], done.json["error"]) == ("failed", FAILURE)
    job_id = done.json["job_id"]
    last = f"Error: Job {job_id} ended as failed: No such model. Name another."
    assert done.err.splitlines()[-1] == last
    said = chef("job", job_id, "--follow")
    assert said.code == 1
    assert "unknown_base_model: No such model. Name another." in said.out
    assert chef("job", job_id).code == 0  # the look itself went well


def test_a_running_job_can_be_cancelled_once(chef: Chef, workspace: Workspace):
    """Then it has ended; there is nothing left to cancel."""
    workspace.scenario(steps=10_000, seconds=0.05)
    job_id = chef(*TRAIN, "--json").json["job_id"]
    assert chef("cancel", job_id, "--dry-run", "--json").json["approval_needed"] is False
    assert chef("job", job_id, "--json").json["status"] in {"running", "pending"}
    cancelled = chef("cancel", "--agent", "code_review", "--json")
    assert (cancelled.code, cancelled.json["job_id"]) == (0, job_id)
    done = chef("job", job_id, "--follow")
    assert done.code == 1
    assert f"Error: Job {job_id} ended as cancelled." in done.err
    again = chef("cancel", job_id)
    assert again.code == 1
    assert again.err.startswith(f"Error: Job {job_id} has ended already: cancelled. ")


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_training_that_was_cut_off_goes_on(chef: Chef, workspace: Workspace, end: str):
    """In its own folder and under its own id, to its version; then there is nothing to resume."""
    endless = {"steps": 10_000, "seconds": 0.05}
    workspace.scenario(**({"failure": FAILURE} if end == "failed" else endless))
    job_id = chef(*TRAIN, "--json").json["job_id"]
    if end == "cancelled":
        assert chef("resume", job_id).err.startswith(f"Error: Job {job_id} is ")
        chef("cancel", job_id)
    assert chef("job", job_id, "--follow", "--json").json["status"] == end
    workspace.scenario()
    assert chef("resume", job_id, "--dry-run", "--json").json["approval_needed"] is False
    done = chef("resume", job_id, "--wait", "--json")
    assert (done.code, done.json["status"], done.json["error"]) == (0, "completed", None), done.err
    assert done.json["version"] == "v1.0.0"
    again = chef("resume", job_id)
    assert again.code == 1
    assert again.err.startswith(f"Error: Job {job_id} is completed: there is nothing to resume. ")


def test_the_list_says_how_jobs_stand_now(chef: Chef):
    """Listing settles what has ended: no timer need run."""
    job_id = chef(*TRAIN, "--json").json["job_id"]
    chef("job", job_id, "--follow")
    (job,) = chef("jobs", "--json").json
    assert (job["id"], job["status"], job["result"]["version"]) == (job_id, "completed", "v1.0.0")
    assert chef("jobs", "--agent", "cicd", "--json").json == []
    table = chef("jobs").out
    assert job_id in table
    assert "completed" in table


@pytest.mark.parametrize(
    ("scenario", "status", "message"),
    [
        ({}, "completed", "registered as v1.0.0"),
        ({"failure": FAILURE}, "failed", "unknown_base_model: No such model. Name another."),
    ],
)
def test_open_jobs_are_followed_to_their_ends(
    chef: Chef, workspace: Workspace, scenario: dict[str, Any], status: str, message: str
):
    """A line for each thing that becomes of them, and then the command ends."""
    workspace.scenario(**scenario)
    jobs = {chef(*TRAIN, "--json").json["job_id"] for _ in range(2)}
    done = chef("jobs", "--follow", "--json")
    assert done.code == 0, done.err
    told = [json.loads(line) for line in done.out.splitlines()]
    assert {event["job_id"] for event in told} == jobs
    assert told[0]["status"] == told[1]["status"] == status
    assert message in {event["message"] for event in told}
    assert chef("jobs", "--follow").out == ""


def test_a_sentence_starts_and_follows_a_job(chef: Chef, monkeypatch: pytest.MonkeyPatch):
    """``chef ask`` has the same options."""
    monkeypatch.setenv("MODELOPS_DEFAULT_BASE_MODEL", "local/tiny-code")
    done = chef("ask", "train the code_review agent, demo run", "--wait", "--json")
    assert (done.code, done.json["version"]) == (0, "v1.0.0")


def test_two_who_look_at_once_register_one_version(chef: Chef, workspace: Workspace):
    """Two processes settle the same job."""
    job_id = chef(*TRAIN, "--json").json["job_id"]
    command = (own_python(), "-m", "agent_orchestrator", "job", job_id, "--follow", "--json")

    def look(_: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=workspace.variables, capture_output=True, text=True, check=True
        )

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(look, range(2))
    assert json.loads(first.stdout) == json.loads(second.stdout)
    versions = chef("models", "code_review", "--json").json["versions"]
    assert [version["version"] for version in versions] == ["v1.0.0"]


def test_a_terminal_gets_a_live_bar(workspace: Workspace):
    """Drawn on stderr; stdout stays clean."""
    workspace.scenario(steps=5, seconds=0.2)
    done, screen = at_terminal(workspace, (*TRAIN, "--wait", "--json"))
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "completed"
    assert "100 %" in screen
    assert "loss" in screen


def at_terminal(
    workspace: Workspace, arguments: tuple[str, ...], answer: bytes = b""
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run a command at a terminal of its own, stdout in a pipe; return it and the screen."""
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    with ThreadPoolExecutor(1) as reader:  # a terminal that nobody reads holds its program up
        screen = reader.submit(_rest, lambda: os.read(ours, 65536))
        try:
            done = subprocess.run(
                (own_python(), "-m", "agent_orchestrator", *arguments),
                env=workspace.variables | {"TERM": "xterm", "COLUMNS": "120"},
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=theirs,
                text=True,
                check=False,
            )
        finally:
            os.close(theirs)
        return done, screen.result()


def _rest(read: Callable[[], bytes]) -> str:
    """Read until the other end is closed, which a pseudo-terminal says by an error."""
    found = b""
    while True:
        try:
            found += read()
        except OSError:
            return found.decode(errors="replace")


def test_costs_are_listed_beside_their_estimates(chef: Chef):
    """This machine costs nothing; the budget's limits are the configuration's."""
    job_id = chef(*TRAIN, "--wait", "--json").json["job_id"]
    report = chef("costs", "--json").json
    (cost,) = report["jobs"]
    assert (cost["job_id"], cost["actual_cost_usd"], cost["hardware"]) == (
        job_id,
        0,
        "this machine",
    )
    assert cost["actual_minutes"] >= 0
    assert (report["limit_usd"], report["left_usd"], report["spent_hours"]) == (200, 200, 0)
    said = chef("costs").out
    assert job_id in said
    assert "$0.00 of $200.00 and 0.0 of 100 rented hours spent or reserved" in said
    assert chef("costs", "--month", "1999-01", "--json").json["jobs"] == []
    assert chef("costs", "--month", "May").code == 2


def test_a_dry_run_says_what_the_estimate_rests_on(chef: Chef):
    """The range, the number of runs before, and what is left of the month."""
    said = chef(*TRAIN, "--dry-run", "--json").json["details"]
    low, high = said["minutes_range"]
    assert low < said["estimated_minutes"] < high
    assert (said["past_runs"], said["left_this_month_usd"]) == (0, 200)
    assert "No run of this kind" in said["rests_on"]
    chef(*TRAIN, "--wait")
    assert chef(*TRAIN, "--dry-run", "--json").json["details"]["past_runs"] == 1


def test_a_production_run_wants_a_demo_first(chef: Chef):
    """Or a reason, which whoever approves reads."""
    priced = chef(*TRAIN, "--mode", "production", "--dry-run")
    assert (priced.code, "Cost: $0.00" in priced.out) == (0, True)
    assert "Not yet: No run by sft of a tiny-code model on local" in priced.out
    refused = chef(*TRAIN, "--mode", "production")
    assert refused.code == 2
    assert "--mode demo" in refused.err
    assert "Afterwards: A production run, on" in chef(*TRAIN, "--dry-run").out
    forced = chef(*TRAIN, "--mode", "production", "--override-reason", "known well", "--dry-run")
    assert "Without a demo run: known well" in forced.out


def test_a_search_can_be_priced_before_it_runs(chef: Chef):
    """Its settings are named; a space that is none is bad input."""
    search = ("search", "code_review", "--base-model", "local/tiny-code", "--dry-run", "--json")
    said = chef(*search, "--space", "learning_rate=[0.001,0.002]")
    assert said.code == 0, said.err
    rates = {setting["learning_rate"] for setting in said.json["details"]["settings"]}
    assert rates == {0.001, 0.002}
    assert chef(*search, "--space", "learning_rate=fast").code == 2
    assert chef(*search).code == 2
