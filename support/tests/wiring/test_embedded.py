"""The embedded system, composed from the environment: the gate asks real servers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.gate.smoke_test import BATCH
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import PlannedChange
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    Deployed,
    DeployModelToAgent,
    RollbackDeployment,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.simulation import SimulateCanary
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import ApprovalDenied, ApprovalRequired, GateFailed, SettingsError
from agent_orchestrator.wiring.embedded import Embedded, compose
from agent_orchestrator.wiring.rollouts import DEFAULT_PROMPTS

AGENT = "code_review"
CANDIDATE = "acme/cicd"
ADA = Caller("ada", "cli", "admin")
DEPLOY = DeployModelToAgent(agent=AGENT, model=CANDIDATE, override_reason="its first")


@pytest.fixture
async def server(workspace: Workspace) -> AsyncIterator[OpenAIServer]:
    """Return a server of two models."""
    async with OpenAIServer(lambda _body: Reply("clean")) as server:
        workspace.serve_elsewhere(code_review=server.url, cicd=server.url)
        yield server


async def deploy(embedded: Embedded) -> Deployed:
    """Deploy the candidate, approved by its requester."""
    coordinator = embedded.coordinator
    with pytest.raises(ApprovalRequired) as needed:
        await coordinator.run("deploy_model_to_agent", DEPLOY, ADA)
    await coordinator.answer(needed.value.approval_id, ADA, approve=True)
    result = await coordinator.resume(needed.value.approval_id, ADA)
    assert isinstance(result, Deployed)
    return result


def prompts(bodies: list[Mapping[str, Any]]) -> set[str]:
    """Return what the server was asked."""
    return {str(body["messages"][-1]["content"]) for body in bodies}


async def test_a_candidate_is_asked_what_its_agent_is_asked(
    workspace: Workspace, server: OpenAIServer
) -> None:
    """Held-out tasks of the newest data set, and what goes wrong; then it has its share."""
    dataset = workspace.build_dataset()
    result = await deploy(compose(workspace.settings()))
    assert result.rollout_pct == 20
    bodies = [seen.body for seen in server.requests]
    held_out = {example.task for example in dataset.examples("eval")}
    ordinary = [body for body in bodies if body["messages"][-1]["content"] in held_out]
    assert len(ordinary) == 1 + BATCH
    assert {body["model"] for body in ordinary} == {CANDIDATE}
    verdicts = {item.name: item.verdict for item in result.checklist}
    assert verdicts["malformed message"] is verdicts["upstream down"] is Verdict.PASS
    assert verdicts["unknown model"] is Verdict.INCONCLUSIVE  # the double answers to any name
    assert "weight: 20" in workspace.models_yaml.read_text()


async def test_without_a_data_set_the_prompts_are_general(
    workspace: Workspace, server: OpenAIServer
) -> None:
    """A model is never deployed unasked."""
    await deploy(compose(workspace.settings()))
    assert prompts([seen.body for seen in server.requests]) >= {*DEFAULT_PROMPTS}


async def test_a_candidate_that_does_not_answer_gets_no_traffic(
    workspace: Workspace, server: OpenAIServer
) -> None:
    """The real gate, a real refusal: models.yaml keeps every byte."""
    before = workspace.models_yaml.read_bytes()
    server.answer_with(Reply("overloaded", status=503))
    with pytest.raises(GateFailed, match="loads: acme/cicd answered with status 503"):
        await deploy(compose(workspace.settings()))
    assert workspace.models_yaml.read_bytes() == before


async def test_two_processes_see_one_system(workspace: Workspace, server: OpenAIServer) -> None:
    """What one deploys another one rolls back, as two commands of ``chef`` do."""
    before = workspace.models_yaml.read_text()
    await deploy(compose(workspace.settings()))
    embedded = compose(workspace.settings())
    request = RollbackDeployment(agent=AGENT)
    with pytest.raises(ApprovalRequired) as needed:
        await embedded.coordinator.run("rollback_deployment", request, ADA)
    await embedded.coordinator.answer(needed.value.approval_id, ADA, approve=True)
    await compose(workspace.settings()).coordinator.resume(needed.value.approval_id, ADA)
    assert workspace.models_yaml.read_text() == before
    overview = await asyncio.to_thread(embedded.overview.read)
    assert overview.unfinished_intents == overview.pending_approvals == 0
    assert {process.state for process in overview.processes} == {"stopped"}


async def test_another_has_to_approve_where_it_is_configured(
    workspace: Workspace, server: OpenAIServer
) -> None:
    """The one setting that makes two people necessary."""
    workspace.variables["CHEF_REQUESTER_MAY_APPROVE"] = "false"
    with pytest.raises(ApprovalDenied, match="'ada' asked for"):
        await deploy(compose(workspace.settings()))


async def test_a_simulation_runs_the_configured_policy(
    workspace: Workspace, server: OpenAIServer
) -> None:
    """And a dry run of a deployment shows it."""
    coordinator = compose(workspace.settings()).coordinator
    request = SimulateCanary(candidate_rate=0.2, runs=5)
    assert (await coordinator.run("simulate_canary", request, ADA)) is not None
    policy = workspace.config / "modelops" / "rollout_defaults.yaml"
    policy.write_text(policy.read_text().replace("[20, 50, 100]", "[7, 100]"))
    dry = DEPLOY.model_copy(update={"dry_run": True})
    planned = await compose(workspace.settings()).coordinator.run("deploy_model_to_agent", dry, ADA)
    assert isinstance(planned, PlannedChange)
    assert planned.details["steps"] == [7, 100]


def test_broken_defaults_are_named(workspace: Workspace) -> None:
    """File and key, before anything else happens."""
    path = workspace.config / "modelops" / "evaluation_defaults.yaml"
    path.write_text(path.read_text() + "\nsurprise: 1\n")
    with pytest.raises(SettingsError, match=r"evaluation_defaults\.yaml: surprise"):
        compose(workspace.settings())
