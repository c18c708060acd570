"""Which model a name means, and where it lives."""

from pathlib import Path

import pytest
from tests.modelops.world import AGENT, STABLE_MODEL, World

from agent_orchestrator.agents.infrastructure.modelops.catalogue import ModelRef
from agent_orchestrator.domain.routing import Arm, Endpoint
from agent_orchestrator.errors import (
    ConflictError,
    InputError,
    ModelIdError,
    ModelsYamlError,
    UnknownAgentError,
    VersionNotFoundError,
)


def artifact(world: World, model: str) -> Path:
    """Make a finished local artifact."""
    folder = world.folder / "state" / "artifacts" / model
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        (None, ModelRef("acme/two", "v1.1.0")),
        ("v1.0.0", ModelRef("acme/one", "v1.0.0")),
        ("acme/one", ModelRef("acme/one", "v1.0.0")),
        ("acme/stable", ModelRef("acme/stable")),
        ("acme/builder", ModelRef("acme/builder")),
        ("acme/elsewhere", ModelRef("acme/elsewhere")),
        ("local/trained", ModelRef("local/trained")),
        ("v2ray/coder", ModelRef("v2ray/coder")),
    ],
)
def test_a_name_means_a_version_or_a_model(world: World, name: str | None, meant: ModelRef) -> None:
    """Versions, their model ids, models that models.yaml or the artifacts know, the newest."""
    artifact(world, "local/trained")
    artifact(world, "v2ray/coder")
    assert world.catalogue.resolve(AGENT, name) == meant


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("v9.9.9", VersionNotFoundError),
        ("v2", VersionNotFoundError),
        ("v1.0.0-rc.1", VersionNotFoundError),
        ("acme/unknown", VersionNotFoundError),
        ("1.0.0", VersionNotFoundError),
        ("../../etc/passwd", ModelIdError),
        ("/etc/passwd", ModelIdError),
        ("v1.0.0/../../etc", ModelIdError),
        ("a/b/c", ModelIdError),
        ("", ModelIdError),
    ],
)
def test_what_nobody_knows_is_bad_input(world: World, name: str, error: type[Exception]) -> None:
    """Unknown versions and models, and what is no model id at all, are refused with a remedy."""
    with pytest.raises(error) as caught:
        world.catalogue.resolve(AGENT, name)
    assert isinstance(caught.value, InputError)
    assert caught.value.exit_code == 2
    assert caught.value.remedy


def test_an_agent_without_a_version_has_no_newest(world: World) -> None:
    """The remedy is to train one."""
    with pytest.raises(InputError, match="cicd has no trained version") as caught:
        world.catalogue.resolve("cicd", None)
    assert "chef train cicd" in caught.value.remedy


def test_an_unknown_agent_is_refused_everywhere(world: World) -> None:
    """With the agents that there are."""
    catalogue = world.catalogue
    for ask in (
        catalogue.check_agent,
        catalogue.arms,
        catalogue.serving,
        lambda agent: catalogue.resolve(agent, None),
    ):
        with pytest.raises(UnknownAgentError, match="Known agents: cicd, feature_dev"):
            ask("nobody")
    assert catalogue.check_agent(AGENT) == AGENT


def test_a_broken_file_is_told_not_guessed_at(world: World) -> None:
    """A tab in models.yaml stops what needs it, with the line."""
    world.edit("  agent_models:", "\tagent_models:")
    with pytest.raises(ModelsYamlError, match="line 4: not YAML"):
        world.catalogue.serving(AGENT)


async def test_what_serves_is_the_stable_model(world: World) -> None:
    """Also while a candidate has a share; the arms are those of models.yaml."""
    assert world.catalogue.serving(AGENT) == ModelRef(STABLE_MODEL)
    assert world.catalogue.arms(AGENT) == (Arm("stable", STABLE_MODEL),)
    await world.deploy()
    assert world.catalogue.serving(AGENT) == ModelRef(STABLE_MODEL)
    assert [(arm.name, arm.weight) for arm in world.catalogue.arms(AGENT)] == [
        ("stable", 80),
        ("candidate", 20),
    ]


def test_of_versions_with_one_model_id_the_one_that_serves_is_meant(world: World) -> None:
    """A model that was registered twice is the version that is current, else the newest."""
    again = world.add_version("acme/one")
    assert world.catalogue.reference(AGENT, "acme/one") == ModelRef("acme/one", again)
    world.registry.set_current_model(AGENT, "v1.0.0")
    assert world.catalogue.reference(AGENT, "acme/one") == ModelRef("acme/one", "v1.0.0")
    assert world.catalogue.reference(AGENT, "acme/never") == ModelRef("acme/never")


def test_where_a_model_lives(world: World) -> None:
    """As the catalogue lists it, on this machine when it was made here, else on OpenRouter."""
    artifact(world, "local/trained")
    elsewhere = world.catalogue.endpoint("acme/elsewhere")
    assert elsewhere.provider == "self_hosted"
    assert world.catalogue.endpoint("local/trained") == Endpoint("local/trained", "local")
    assert world.catalogue.endpoint("local/trained", "local").provider == "local"
    assert world.catalogue.endpoint("acme/one") == Endpoint("acme/one", "openrouter")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"target": "local"}, "lives at self_hosted, http://127.0.0.1:9/v1 already; .* 'local'"),
        ({"url": "http://127.0.0.1:8/v1"}, "not served at 'http://127.0.0.1:8/v1'"),
        ({"api_key_env": "OTHER_KEY"}, "not opened by 'OTHER_KEY'"),
    ],
)
def test_a_place_that_contradicts_the_catalogue_is_refused(
    world: World, asked: dict, says: str
) -> None:
    """The model is where it is; moving it is an edit of models.yaml."""
    with pytest.raises(InputError, match=says):
        world.catalogue.endpoint("acme/elsewhere", **asked)


def test_a_place_may_be_named_for_a_model_that_nobody_knows(world: World) -> None:
    """A URL means a server of one's own; naming the target makes the model id enough."""
    url = "http://127.0.0.1:8000/v1"
    assert world.catalogue.resolve(AGENT, "acme/new", placed=True) == ModelRef("acme/new")
    assert world.catalogue.endpoint("acme/new", url=url, api_key_env="VLLM_KEY") == Endpoint(
        "acme/new", "self_hosted", (url,), "VLLM_KEY"
    )
    assert world.catalogue.endpoint("acme/new", "huggingface").provider == "huggingface"
    same = world.catalogue.endpoint("acme/elsewhere", url="http://127.0.0.1:9/v1")
    assert same.provider == "self_hosted"


def test_an_artifact_is_one_when_it_is_finished(world: World) -> None:
    """A folder without its configuration is not; a path is no name."""
    folder = artifact(world, "local/trained")
    assert world.catalogue.artifact("local/trained") == folder
    (folder / "config.json").unlink()
    assert world.catalogue.artifact("local/trained") is None
    with pytest.raises(ModelIdError):
        world.catalogue.artifact("../../etc")


def test_scores_are_those_of_the_version(world: World) -> None:
    """A model that is not registered has none."""
    assert world.catalogue.scores(AGENT, ModelRef("acme/one", "v1.0.0")).accuracy == 0.9
    assert world.catalogue.scores(AGENT, ModelRef("acme/elsewhere")) is None


def test_a_plan_made_for_another_model_is_not_carried_out(world: World) -> None:
    """What serves is compared with what the plan was made for."""
    world.catalogue.check_serving(AGENT, ModelRef(STABLE_MODEL))
    world.edit("acme/stable ", "acme/one ")
    with pytest.raises(ConflictError, match=r"v1\.0\.0 \(acme/one\) serves feature_dev by now"):
        world.catalogue.check_serving(AGENT, ModelRef(STABLE_MODEL))
