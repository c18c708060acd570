"""From a complaint to a canary over HTTP: a model really trained, two people, a killed server."""

import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.doubles import workshop
from tests.doubles.api_process import ApiProcess
from tests.doubles.complaints import COMPLAINT, mostly_wrong
from tests.doubles.sse import SseEvent, following
from tests.doubles.workspace import Workspace

from agent_orchestrator.domain.roles import Role
from agent_orchestrator.stores.models_yaml import ModelsYaml


class Server(ApiProcess):
    """The API in a process of its own, for an operator and an approver."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        people: dict[str, Role] = {"ada": "operator", "bob": "approver"}
        self._bearers = {name: self.token(name, role) for name, role in people.items()}

    def person(self, name: str) -> httpx.AsyncClient:
        """Return somebody's client."""
        headers = {"Authorization": f"Bearer {self._bearers[name]}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=300)


async def said(http: httpx.AsyncClient, message: str, thread: str) -> list[SseEvent]:
    """Say something and return the turn's events."""
    given = {"message": message, "thread_id": thread}
    async with following(http, "POST", "/chat", json=given) as events:
        return [event async for event in events]


def told(events: list[SseEvent]) -> str:
    """Return what was answered."""
    return "\n".join(event.data["text"] for event in events if event.event == "message")


def only(events: list[SseEvent], kind: str) -> dict[str, Any]:
    """Return the one event of a kind."""
    found: list[dict[str, Any]] = [event.data for event in events if event.event == kind]
    assert len(found) == 1, [event.data for event in events if event.event == "error"]
    return found[0]


@pytest.fixture
def workspace(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return an installation that trains in earnest, from a tiny model."""
    workspace = Workspace(tmp_path, {"MODELOPS_DEFAULT_BASE_MODEL": "local/tiny-code"})
    workspace.variables |= {
        "CHEF_TRAINER_PYTHON": str(workshop.trainer_python()),
        "OMP_NUM_THREADS": "1",
    }
    base = workshop.tiny_base(tmp_path_factory.getbasetemp().parent)
    shutil.copytree(base, workspace.state / "artifacts" / "local" / "tiny-code")
    return workspace


@pytest.mark.slow
@pytest.mark.trainer
async def test_from_a_complaint_to_a_canary(workspace: Workspace):
    """The server is killed while the approval waits; somebody else answers; the next one acts."""
    async with mostly_wrong(workspace) as examples:
        server = Server(workspace)
        async with server.until_killed(), server.person("ada") as ada:
            assert "no data set for feature_dev" in told(await said(ada, COMPLAINT, "better"))
            built = await said(ada, f"From {examples}, please.", "better")
            assert only(built, "result")["use_case"] == "build_dataset"
            assert "demo run, this machine" in told(built)
            assert "$0.00" in told(built)

            harder = "Train feature_dev with 60 epochs, batch size 8 and learning rate 0.005, demo"
            assert told(await said(ada, harder, "better")).endswith("Shall I?")
            demo = await said(ada, "yes", "better")
            losses = [e.data["current_loss"] for e in demo if e.event == "progress"]
            first, *_, last = [loss for loss in losses if loss is not None]
            assert last < first
            assert [e.data["status"] for e in demo if e.event == "progress"][-1] == "completed"
            assert "Go on with production?" in told(demo)
            production = await said(ada, "yes, please", "better")
            assert "registered as v1.1.0" in told(production)
            evaluated = await said(ada, "go ahead", "better")
            assert "Recommendation: deploy" in told(evaluated)
            assert told(evaluated).endswith("Deploy?")

            asked = only(await said(ada, "yes", "better"), "approval_required")
            approval = f"/approvals/{asked['approval_id']}"
            refused = await ada.post(f"{approval}/answer", json={"approve": True})
            assert refused.status_code == httpx.codes.FORBIDDEN

        async with server.until_killed(), server.person("bob") as bob:
            answered = await bob.post(f"{approval}/answer", json={"approve": True})
            assert answered.json()["approver"] == "bob"

        async with server.until_killed(), server.person("ada") as ada:
            given = {"approval_id": asked["approval_id"]}
            async with following(ada, "POST", "/chat/better/resume", json=given) as events:
                deployed = only([event async for event in events], "result")["result"]
            assert (deployed["version"], deployed["rollout_pct"]) == ("v1.1.0", 20)
            async with following(ada, "GET", "/chat/better/events") as events:
                numbers = [int(event.id) async for event in events if event.id]
            assert numbers == sorted(set(numbers))
    rollout = ModelsYaml(workspace.models_yaml).read().rollouts["feature_dev"]
    assert [arm.weight for arm in rollout.arms] == [80, 20]
