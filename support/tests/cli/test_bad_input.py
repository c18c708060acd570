"""Bad input: one clear line with the remedy, the right exit code, nothing changed."""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Chef
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.settings import own_python


def snapshot(workspace: Workspace) -> dict[str, bytes]:
    """Return every file that means something: not the database's and locks' own."""
    kept = {}
    for path in sorted(workspace.folder.rglob("*")):
        name = str(path.relative_to(workspace.folder))
        passing = ".lock" in name or name.startswith("state/state.db")
        if path.is_file() and not passing:
            kept[name] = path.read_bytes()
    return kept


def check(
    chef: Chef, workspace: Workspace, arguments: tuple[str, ...], code: int, *said: str
) -> None:
    """Run a command that must fail in one line and leave everything as it was."""
    before = snapshot(workspace)
    for extra in ((), ("--json",)):
        done = chef(*arguments, *extra)
        assert done.code == code, done
        assert done.err.count("\n") == 1, done.err
        for text in said:
            assert text in done.err
        if extra:
            assert set(done.json) == {"error", "message", "remedy"}
            assert done.json["message"] in " ".join(done.err.split())
        else:
            assert done.out == ""
    assert snapshot(workspace) == before


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("models nobody", 2, ("Unknown agent 'nobody'.", "Known agents: cicd, code_review")),
        ("deploy feature_dev --version v9.9.9", 2, ("no version 'v9.9.9'", "Known versions")),
        (
            "promote feature_dev --percent 140",
            2,
            ("percent:", "(got 140)", "next step when left out"),
        ),
        ("simulate canary --weight 140", 2, ("weight:", "(got 140)", "About 'weight'")),
        ("simulate canary --stable-rate lots", 2, ("stable_rate:", "(got 'lots')")),
        (
            "evaluate feature_dev --candidate ../../etc/passwd",
            2,
            ("Not a model id: '../../etc/passwd'.", "owner/name"),
        ),
        ("train feature_dev --overrides learning_rate", 2, ("is not KEY=VALUE", "num_epochs=2")),
        ("train feature_dev --overrides =1", 2, ("'=1' is not KEY=VALUE",)),
        (
            "train feature_dev --method magic",
            2,
            ("method:", "(got 'magic')", "TrainSubagentModel takes"),
        ),
        ("train feature_dev", 2, ("no data set for feature_dev", "chef build-dataset")),
        (
            "train feature_dev --backend hf_jobs",
            1,
            ("'hf_jobs' is not available", "HUGGINGFACE_JOBS_ENABLED"),
        ),
        ("build-dataset cicd --source no.jsonl", 2, ("no data file 'no.jsonl'", "Check the path")),
        ("build-dataset cicd", 2, ("cannot be read without a key", "LANGSMITH_API_KEY")),
        ("job job_9", 2, ("No job 'job_9'.", "chef jobs")),
        ("job", 2, ("Which job?", "a job id or an agent")),
        ("cancel --agent cicd", 2, ("cicd has had no job", "chef train cicd")),
        ("approve ap_9", 2, ("No approval 'ap_9'.", "chef approvals")),
        ("reset-breaker cicd", 2, ("has no arm 'candidate'", "stable")),
        ("convert --agent cicd", 2, ("cicd has no trained version",)),
        ("registry restore ../../etc/passwd", 2, ("No backup '../../etc/passwd'", "Newest first")),
        ("registry show cicd v1.0.0", 2, ("has no version 'v1.0.0'",)),
        ("models cicd --status bogus", 2, ("Not a deployment status: 'bogus'.", "archived")),
    ],
)
def test_a_wrong_request_is_answered_in_one_line(
    chef: Chef, workspace: Workspace, line: str, code: int, said: tuple[str, ...]
):
    """With the value that is wrong, and what to do."""
    check(chef, workspace, tuple(line.split()), code, *said)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("learning_rat=1", "Did you mean 'learning_rate'?"),
        ("learning_rate=fast", "learning_rate: Input should be a valid number"),
        ("learning_rate=[1,", "learning_rate: Input should be a valid number"),
        ("learning_rate=Infinity", "learning_rate: Input should be"),
        ("num_epochs=0", "num_epochs: Input should be greater than 0"),
    ],
)
def test_a_wrong_override_is_named(chef: Chef, workspace: Workspace, override: str, said: str):
    """Whatever stands behind the equals sign."""
    workspace.build_dataset()
    line = ("train", "code_review", "--base-model", "tiny-code", "--overrides", override)
    check(chef, workspace, line, 2, said)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"inputs": {}, "outputs": {"answer": "x"}}] * 3, "task"),
        ([{"outputs": {"answer": "x"}}] * 3, "inputs"),
        ([{"inputs": {"task": "t"}, "outputs": {"answer": "x"}}], "holds one example"),
        ([], "reviews.jsonl"),
    ],
)
def test_a_data_set_that_cannot_be_used_is_refused(
    chef: Chef, workspace: Workspace, rows: list[dict[str, object]], said: str
):
    """A column is missing, or there is one row only, or none."""
    path = workspace.write_rows(rows)
    check(chef, workspace, ("build-dataset", "code_review", "--source", str(path)), 2, said)


# -- broken files ---------------------------------------------------------------------------------


def tab(workspace: Workspace) -> None:
    """Indent a line of models.yaml with a tab."""
    text = workspace.models_yaml.read_text()
    workspace.models_yaml.write_text(text.replace("    feature_dev:", "\tfeature_dev:"))


def no_models_yaml(workspace: Workspace) -> None:
    """Remove models.yaml."""
    workspace.models_yaml.unlink()


def broken_defaults(workspace: Workspace) -> None:
    """Misspell a key of the training defaults."""
    path = workspace.config / "modelops" / "training_defaults.yaml"
    path.write_text(path.read_text().replace("max_hours", "max_hour"))


def no_defaults(workspace: Workspace) -> None:
    """Remove the rollout policy."""
    (workspace.config / "modelops" / "rollout_defaults.yaml").unlink()


def no_config(workspace: Workspace) -> None:
    """Run outside of a project."""
    shutil.rmtree(workspace.config)


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (tab, 2, ("models.yaml, line", "not YAML", "Indent with spaces")),
        (no_models_yaml, 2, ("models.yaml",)),
        (broken_defaults, 2, ("training_defaults.yaml: limits.max_hour", "Mend the file")),
        (no_defaults, 2, ("Missing file", "rollout_defaults.yaml", "CHEF_CONFIG")),
        (no_config, 2, ("no configuration folder", "in the project's folder, or set CHEF_CONFIG")),
    ],
)
def test_a_broken_installation_is_named(
    chef: Chef,
    workspace: Workspace,
    spoil: Callable[[Workspace], None],
    code: int,
    said: tuple[str, ...],
):
    """The file, the place in it, and what to do; whichever command meets it."""
    spoil(workspace)
    for line in (("status",), ("models", "feature_dev")):
        check(chef, workspace, line, code, *said)


def test_a_wrong_variable_is_named(
    chef: Chef, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    """As the settings say it."""
    monkeypatch.setenv("CHEF_GATEWAY_PORT", "99999")
    check(chef, workspace, ("status",), 2, "CHEF_GATEWAY_PORT", ".env.template")


@pytest.mark.parametrize(
    "line", ["status", "jobs", "approvals", "audit", "rollout cicd", "build-dataset code_review"]
)
def test_a_state_folder_that_cannot_be_written_is_named(
    chef: Chef, workspace: Workspace, line: str
):
    """A file stands in its place."""
    workspace.state.write_text("")
    source = ("--source", str(workspace.write_examples())) if "build" in line else ()
    check(chef, workspace, (*line.split(), *source), 1, f"{workspace.state}")


def test_outside_of_a_project_nothing_is_left_behind(tmp_path: Path):
    """No state folder appears where somebody only looked."""
    done = subprocess.run(
        [own_python(), "-m", "agent_orchestrator", "status"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"no configuration folder '{tmp_path}/config'" in done.stderr
    assert not list(tmp_path.iterdir())


# -- the registry cut in half ---------------------------------------------------------------------


def test_a_torn_registry_names_the_backup_that_mends_it(chef: Chef, workspace: Workspace):
    """Every command that reads it says which; restoring makes all well, and is audited."""
    path = workspace.config / "models" / "registry.json"
    registry = ModelRegistry(path)
    registry.add_model_version("cicd", model_id="acme/one")
    registry.add_model_version("cicd", model_id="acme/two")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    check(chef, workspace, ("models", "cicd"), 2, "registry.json", "chef registry restore")
    command = chef("models", "cicd").err.split("`chef ")[1].split("`")[0]
    restored = chef(*command.split(), "--json")
    assert restored.code == 0
    assert restored.json["revision"] == 3
    assert [v["version"] for v in chef("models", "cicd", "--json").json["versions"]] == [
        "v1.1.0",
        "v1.0.0",
    ]
    assert chef("audit", "--json").json[-1]["action"] == "registry_restore"


# -- a full disk ----------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["build-dataset code_review --source", "registry tag cicd v1.0.0"])
def test_a_full_disk_is_said_and_changes_nothing(chef: Chef, workspace: Workspace, line: str):
    """No file may grow beyond 4 KiB here: one line, exit code 1, the old content stands."""
    registry = ModelRegistry(workspace.config / "models" / "registry.json")
    for number in range(8):
        registry.add_model_version("cicd", model_id=f"acme/m{number}")
    assert chef("status").code == 0  # the database is there
    source = workspace.write_examples()
    before = snapshot(workspace)
    argument = str(source) if "build" in line else "tagged"
    # Python 3.11 does not notice when a compiled file is cut off, and trips over it later; and
    # what measures coverage has no room for its data either.
    measured = {name for name in workspace.variables if name.startswith("COVERAGE")}
    environment = {n: v for n, v in workspace.variables.items() if n not in measured}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        [own_python(), "-m", "agent_orchestrator", *line.split(), argument],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("Error: Cannot write")
    assert "disk space" in done.stderr
    assert done.stderr.count("\n") == 1
    assert snapshot(workspace) == before
