"""``chef experiment``."""

from tests.cli.conftest import Chef
from tests.doubles.workspace import Workspace


def test_a_dry_run_says_how_many_runs_it_would_be(chef: Chef) -> None:
    """For machines as one JSON document; nobody is asked."""
    done = chef(
        "experiment", "run", "reasoning_modes", "--max-examples", "5", "--dry-run", "--json"
    )
    assert done.code == 0
    assert done.json["dry_run"] is True
    assert done.json["details"]["runs"] == 2 * 3 * 5


def test_an_unknown_template_is_bad_input(chef: Chef) -> None:
    """Exit code 2, and the names of those that are there."""
    done = chef("experiment", "run", "nope")
    assert done.code == 2
    assert "reasoning_modes" in done.err


def test_what_is_kept_can_be_forgotten(chef: Chef, workspace: Workspace) -> None:
    """Also where nothing is kept yet."""
    assert chef("experiment", "forget", "--json").json == {"forgotten": 0}
    assert chef("experiment", "forget").out == "0 answers are forgotten.\n"


def test_a_job_that_is_followed_and_fails_says_why(chef: Chef, workspace: Workspace) -> None:
    """``--wait`` follows it to its end; exit code 1."""
    template = workspace.folder / "mine.yaml"
    row = {"inputs": {"task": "A?"}, "outputs": {"answer": "yes"}}
    workspace.write_rows([{"id": str(n), **row} for n in range(3)], "own")
    template.write_text("{name: mine, models: [acme/a], examples: own.jsonl}")
    workspace.serve_elsewhere(cicd="http://127.0.0.1:9/v1")
    done = chef("experiment", "run", str(template), "--models", "acme/cicd", "--wait")
    assert "Experiment mine, 1 arm on 3 examples, 3 runs: job job_" in done.out
    assert done.code == 1
    assert "calls failed" in done.err
