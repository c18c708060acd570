"""Training on HF Jobs from the command line, against the Hub's double."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Chef
from tests.doubles.hub import READ, USER, WRITE, HubDouble
from tests.doubles.hub_workshop import publish, really_run
from tests.doubles.workshop import tiny_base, trainer_python
from tests.doubles.workspace import Workspace

TRAIN = ("train", "code_review", "--backend", "hf_jobs", "--base-model", "acme/tiny")


@pytest.fixture
def hub(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    """Return a Hub that ``chef`` may use, and a data set."""
    workspace.build_dataset()
    with HubDouble() as double:
        double.repos.add_model("acme/tiny", parameters=300_000, license="cc-by-nc-4.0")
        given = {"HUGGINGFACE_JOBS_ENABLED": "true", "MODELOPS_HUB_ORG": USER}
        for name, value in (double.environment(WRITE) | given).items():
            monkeypatch.setenv(name, value)
        yield double


def test_price_hardware_and_licence_are_shown_before_anything_starts(chef: Chef, hub: HubDouble):
    """A dry run asks the Hub and starts nothing there."""
    plan = chef(*TRAIN, "--dry-run", "--json").json
    assert plan["estimated_cost_usd"] > 0
    assert plan["details"]["licence"] == "cc-by-nc-4.0"
    assert "t4-small" in plan["summary"]
    assert "cc-by-nc-4.0 allows no commercial use" in plan["summary"]
    assert {request.method for request in hub.requests} == {"GET"}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (("HUGGINGFACE_TOKEN", READ), "HUGGINGFACE_TOKEN may only read"),
        (("HUGGINGFACE_TOKEN", ""), "HUGGINGFACE_TOKEN is not set"),
        (("MODELOPS_HUB_ORG", "stranger"), "MODELOPS_HUB_ORG='stranger' is neither"),
        (("HUGGINGFACE_JOBS_ENABLED", "false"), "Set HUGGINGFACE_JOBS_ENABLED=true"),
    ],
)
def test_what_is_missing_is_said_first(
    chef: Chef, hub: HubDouble, monkeypatch: pytest.MonkeyPatch, setting: tuple[str, str], said: str
):
    """Before pricing, and without a job on record."""
    monkeypatch.setenv(*setting)
    refused = chef(*TRAIN)
    assert refused.code != 0
    assert said in refused.err
    assert chef("jobs", "--json").json == []
    assert not hub.jobs.all()


def test_a_gated_base_is_explained(chef: Chef, hub: HubDouble):
    """With the page on which access is asked for."""
    hub.repos.get("model", "acme/tiny").gated = "manual"
    hub.repos.add_model("meta/gated", parameters=300_000, gated="manual")
    refused = chef(*TRAIN[:-1], "meta/gated")
    assert refused.code == 2
    assert f"Open {hub.url}/meta/gated, accept the terms" in refused.err


@pytest.mark.trainer
@pytest.mark.slow
def test_a_model_trained_on_hf_jobs_is_evaluated_here(
    chef: Chef,
    hub: HubDouble,
    workspace: Workspace,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
):
    """The real worker trains and pushes; the model is fetched when it is first needed."""
    publish(hub, "acme/tiny", tiny_base(tmp_path_factory.getbasetemp().parent))
    really_run(hub, workspace.folder)
    monkeypatch.setenv("CHEF_TRAINER_PYTHON", str(trainer_python()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = ("--overrides", "max_steps=3", "--overrides", "lora=null")
    done = chef(*TRAIN, *options, "--wait", "--json")
    assert done.code == 0, (done.err, hub.jobs.all()[-1].lines[-20:])
    assert (done.json["status"], done.json["version"]) == ("completed", "v1.0.0")
    model = done.json["hub_repo"]
    artifact = Path(workspace.state) / "artifacts" / model
    assert "model.safetensors" in hub.repos.get("model", model).files
    assert not artifact.exists()
    against = ("--baseline", "none", "--max-examples", "2")
    judged = chef("evaluate", "code_review", "--candidate", "v1.0.0", *against, "--wait", "--json")
    assert judged.code == 0, judged.err
    assert judged.json["evaluation"]["n_examples"] == 2
    assert (artifact / "model.safetensors").is_file()
    card = hub.repos.get("model", model).page()["cardData"]
    assert card["base_model_relation"] == "finetune"
    assert "accuracy" in card["metrics"]
    assert WRITE not in done.out + done.err + judged.out + judged.err
