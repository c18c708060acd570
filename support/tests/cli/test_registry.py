"""``chef registry``: looking into the registry, and mending it; every change is audited."""

import pytest
from tests.cli.conftest import Chef
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry


@pytest.fixture(autouse=True)
def registry(workspace: Workspace) -> ModelRegistry:
    """Return a registry with a line of two versions."""
    registry = ModelRegistry(workspace.config / "models" / "registry.json")
    config = {"base_model": "acme/base", "training_method": "sft", "learning_rate": 1e-3}
    registry.add_model_version("cicd", model_id="acme/one", training_config=config)
    registry.update_evaluation_scores("cicd", "v1.0.0", {"accuracy": 0.5})
    config = {"base_model": "acme/one", "training_method": "sft", "learning_rate": 2e-3}
    registry.add_model_version(
        "cicd", model_id="acme/two", training_config=config, parent_version="v1.0.0"
    )
    registry.update_evaluation_scores("cicd", "v1.1.0", {"accuracy": 0.75})
    return registry


def test_a_version_is_shown_with_everything(chef: Chef):
    """As JSON, indented for people."""
    found = chef("registry", "show", "cicd", "v1.1.0", "--json")
    assert (found.code, found.json["model_id"]) == (0, "acme/two")
    assert found.out.count("\n") == 1
    assert chef("registry", "show", "cicd", "v1.1.0").json == found.json


def test_a_line_of_versions_goes_back_to_its_root(chef: Chef):
    """The root's base model is named."""
    assert chef("registry", "lineage", "cicd", "v1.1.0", "--json").json == {
        "versions": ["v1.1.0", "v1.0.0"],
        "root": "acme/base",
    }
    said = chef("registry", "lineage", "cicd", "v1.1.0").out
    assert said == "v1.1.0 ← v1.0.0\nv1.0.0 was trained from acme/base.\n"


def test_two_versions_are_compared_by_training_and_scores(chef: Chef):
    """Only settings that differ; every score that one of them has."""
    found = chef("registry", "compare", "cicd", "v1.0.0", "v1.1.0", "--json").json
    assert {"name": "learning_rate", "a": 1e-3, "b": 2e-3} in found["config"]
    assert {"name": "accuracy", "a": 0.5, "b": 0.75} in found["scores"]
    said = chef("registry", "compare", "cicd", "v1.0.0", "v1.1.0").out
    assert "learning_rate" in said
    assert "0.25" in said


def test_an_agent_that_never_had_a_version_has_served_nothing(chef: Chef):
    """An empty list is an answer."""
    assert chef("registry", "served", "docs", "--json").json == []
    assert chef("registry", "served", "docs").out == "What served docs: none.\n"


def test_tags_are_added_and_audited(chef: Chef, registry: ModelRegistry):
    """Each once."""
    done = chef("registry", "tag", "cicd", "v1.0.0", "golden", "golden", "--json")
    assert done.json == {"version": "v1.0.0", "tags": ["golden"]}
    assert chef("registry", "tag", "cicd", "v1.0.0", "old").out == "v1.0.0: golden, old\n"
    assert registry.get_version("cicd", "v1.0.0").tags == ("golden", "old")
    entry = chef("audit", "--json").json[-1]
    assert (entry["action"], entry["subject"]) == ("registry_tag", "cicd")


def test_a_version_that_serves_nobody_can_be_retired(chef: Chef, registry: ModelRegistry):
    """One that serves cannot: exit code 1, and nothing is audited."""
    done = chef("registry", "retire", "cicd", "v1.0.0", "--json")
    assert done.json == {"version": "v1.0.0", "status": "archived"}
    assert chef("registry", "retire", "cicd", "v1.0.0").out == "v1.0.0 of cicd is archived.\n"
    registry.set_current_model("cicd", "v1.1.0")
    refused = chef("registry", "retire", "cicd", "v1.1.0")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert [e["action"] for e in chef("audit", "--json").json] == ["registry_retire"] * 2


def test_a_backup_is_put_in_the_registrys_place(chef: Chef, registry: ModelRegistry):
    """By its name in the list; what it replaces becomes a backup itself."""
    names = chef("registry", "backups", "--json").json
    assert chef("registry", "backups").out.split() == names
    assert names == [path.name for path in registry.backups()]
    oldest = names[-1]
    done = chef("registry", "restore", oldest)
    assert done.out.startswith(f"Restored {oldest}: revision ")
    assert [v.version for v in registry.list_versions("cicd")] == ["v1.0.0"]
    assert chef("registry", "restore", names[0], "--json").json["backup"] == names[0]
    assert len(registry.list_versions("cicd")) == 2
    path = str(registry.backups()[0])
    assert chef("registry", "restore", path).code == 2


def test_without_a_registry_there_is_no_backup(chef: Chef, workspace: Workspace):
    """Said in words for people."""
    path = workspace.config / "models"
    path.rename(workspace.folder / "elsewhere")
    assert chef("registry", "backups").out == "No backups.\n"
    assert chef("registry", "backups", "--json").json == []
