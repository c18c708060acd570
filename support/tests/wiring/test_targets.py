"""Deployments to each kind of server, over HTTP, from the request to models.yaml."""

import pytest
from tests.doubles.inference_endpoints import TOKEN, huggingface_cloud
from tests.doubles.model_servers import Kind, ModelServer
from tests.doubles.openai_server import Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.targets.endpoint_choice import endpoint_name
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import PlannedChange
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    Deployed,
    DeployModelToAgent,
)
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import ApprovalRequired, GateFailed, InputError, UnavailableError
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.wiring.embedded import compose

AGENT = "code_review"
MODEL = "acme/one"
ADA = Caller("ada", "cli", "admin")


def request(**fields: object) -> DeployModelToAgent:
    """Return a deployment of a model that nobody has heard of."""
    return DeployModelToAgent(agent=AGENT, model=MODEL, override_reason="its first", **fields)


async def ask(workspace: Workspace, wanted: DeployModelToAgent) -> str:
    """Ask for a deployment; return the approval's id, approved."""
    coordinator = compose(workspace.settings()).coordinator
    with pytest.raises(ApprovalRequired) as needed:
        await coordinator.run("deploy_model_to_agent", wanted, ADA)
    await coordinator.answer(needed.value.approval_id, ADA, approve=True)
    return needed.value.approval_id


async def deploy(workspace: Workspace, wanted: DeployModelToAgent) -> Deployed:
    """Deploy, approved."""
    approval = await ask(workspace, wanted)
    result = await compose(workspace.settings()).coordinator.resume(approval, ADA)
    assert isinstance(result, Deployed)
    return result


@pytest.mark.parametrize(
    ("kind", "inconclusive"),
    [
        ("vllm", set()),
        ("llamacpp", {"unknown model"}),  # one model, any name
        ("ollama", set()),
    ],
)
async def test_a_model_is_deployed_to_the_server_that_is_named(
    workspace: Workspace, kind: Kind, inconclusive: set[str]
) -> None:
    """``--endpoint URL`` is enough: the catalogue has it afterwards, and the gate asked it."""
    say = {"answer": "yes", "confidence": 0.9}
    async with ModelServer(
        lambda _body: Reply(str(say).replace("'", '"')), kind=kind, models=(MODEL,), context=50
    ) as server:
        result = await deploy(workspace, request(endpoint=server.url))
    assert result.rollout_pct == 20
    found = {item.name for item in result.checklist if item.verdict is Verdict.INCONCLUSIVE}
    assert found == inconclusive
    table = ModelsYaml(workspace.models_yaml).read()
    assert table.models[MODEL] == Endpoint(MODEL, "self_hosted", (server.url,))
    assert table.rollouts[AGENT].arms[1].model == MODEL


async def test_a_servers_key_is_shown_to_it_once_that_is_approved(workspace: Workspace) -> None:
    """The approval names server and variable; the checklist is the first to use the key."""
    workspace.variables["GPU_KEY"] = "s3cret"
    async with ModelServer(models=(MODEL,), key="s3cret") as server:
        wanted = request(endpoint=server.url, api_key_env="GPU_KEY")
        approval = await ask(workspace, wanted)
        given = await compose(workspace.settings()).coordinator.get_approval(approval)
        assert f"{server.url} (which will be shown the key in GPU_KEY)" in given.summary
        assert server.keys == [None]
        assert server.requests == []
        await compose(workspace.settings()).coordinator.resume(approval, ADA)
    table = ModelsYaml(workspace.models_yaml).read()
    assert table.models[MODEL].api_key_env == "GPU_KEY"
    assert "s3cret" not in workspace.models_yaml.read_text()


async def test_a_model_of_openrouter_is_deployed_by_its_id(workspace: Workspace) -> None:
    """The dry run shows the price; models.yaml needs no entry."""
    async with ModelServer(kind="openrouter", models=(MODEL,), context=50) as server:
        workspace.variables["OPENROUTER_BASE_URL"] = server.url
        coordinator = compose(workspace.settings()).coordinator
        dry = request(target="openrouter", dry_run=True)
        planned = await coordinator.run("deploy_model_to_agent", dry, ADA)
        assert isinstance(planned, PlannedChange)
        assert planned.details["price"].startswith("$0.5 a million")
        await deploy(workspace, request(target="openrouter"))
        with pytest.raises(
            InputError, match=r"OpenRouter has no model 'acme/two'. Near it: acme/one"
        ):
            await coordinator.run(
                "deploy_model_to_agent",
                DeployModelToAgent(
                    agent="cicd", model="acme/two", target="openrouter", override_reason="x"
                ),
                ADA,
            )
    table = ModelsYaml(workspace.models_yaml).read()
    assert MODEL not in table.models
    assert table.rollouts[AGENT].arms[1].model == MODEL


async def test_a_server_that_went_down_since_stops_the_deployment(workspace: Workspace) -> None:
    """Approved, but gone: one line, and not a byte of models.yaml changed."""
    before = workspace.models_yaml.read_bytes()
    async with ModelServer(models=(MODEL,)) as server:
        approval = await ask(workspace, request(endpoint=server.url))
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await compose(workspace.settings()).coordinator.resume(approval, ADA)
    assert workspace.models_yaml.read_bytes() == before


async def test_a_gated_model_stops_at_the_checklist(workspace: Workspace) -> None:
    """Listed, but refused when asked: the upstream's own words are shown."""
    before = workspace.models_yaml.read_bytes()
    gated = Reply("You must accept the licence of this model first.", status=403)
    async with ModelServer(gated, models=(MODEL,)) as server:
        approval = await ask(workspace, request(endpoint=server.url))
        with pytest.raises(GateFailed, match="status 403: You must accept the licence"):
            await compose(workspace.settings()).coordinator.resume(approval, ADA)
    assert workspace.models_yaml.read_bytes() == before


async def test_a_model_of_the_hub_gets_an_endpoint(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made, woken, asked, and written into the catalogue; scaled to zero when the gate fails."""
    defaults = workspace.config / "modelops" / "endpoint_defaults.yaml"
    defaults.write_text(defaults.read_text().replace("poll_seconds: 5", "poll_seconds: 0.01"))
    workspace.variables["HUGGINGFACE_TOKEN"] = TOKEN
    name = endpoint_name(MODEL)
    async with (
        huggingface_cloud(monkeypatch) as cloud,
        ModelServer(models=(MODEL,), key=TOKEN, context=50) as server,
    ):
        cloud.served_at = server.url.removesuffix("/v1")
        server.answer_with(Reply(""))
        approval = await ask(workspace, request(target="huggingface"))
        with pytest.raises(GateFailed, match="answers: The answer was empty") as failed:
            await compose(workspace.settings()).coordinator.resume(approval, ADA)
        assert f"{name} is scaled to zero again" in failed.value.remedy
        assert MODEL not in workspace.models_yaml.read_text()
        server.answer_with(Reply("fine"))
        result = await deploy(workspace, request(target="huggingface"))
        assert result.rollout_pct == 20
        assert cloud.calls == [f"create {name}", f"sleep {name}", f"resume {name}"]
    table = ModelsYaml(workspace.models_yaml).read()
    assert table.models[MODEL] == Endpoint(MODEL, "huggingface", (server.url,), "HUGGINGFACE_TOKEN")
