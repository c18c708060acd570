"""An installation to talk to, and people who do."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.conversation.events import ApprovalNeeded, End, Event, Message
from agent_orchestrator.wiring.orchestrator import Orchestrator, open_orchestrator

ADA = Caller("ada", "chat", role="operator")
BOB = Caller("bob", "chat", role="approver")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a fresh installation without any language model."""
    return Workspace(tmp_path, {"OPENROUTER_BASE_URL": "https://openrouter.ai/api/v1"})


@pytest.fixture
def versions(workspace: Workspace) -> ModelRegistry:
    """Register two versions whose models answer, and that were found good."""
    workspace.build_dataset()
    registry = ModelRegistry(workspace.settings().registry_json)
    for model in ("acme/one", "acme/two"):
        workspace.add_artifact(model)
        version = registry.add_model_version("code_review", model_id=model).version
        scores = {"accuracy": 0.9, "recommendation": "deploy"}
        registry.update_evaluation_scores("code_review", version, scores)
    return registry


@pytest.fixture
async def orchestrator(workspace: Workspace) -> AsyncIterator[Orchestrator]:
    """Return the orchestrator, open."""
    async with open_orchestrator(workspace.settings()) as opened:
        yield opened


async def say(
    orchestrator: Orchestrator, text: str, *, by: Caller = ADA, thread: str = "t1"
) -> list[Event]:
    """Say something and return the turn's events."""
    return [event async for event in orchestrator.conversation.send(thread, text, by)]


async def resume(
    orchestrator: Orchestrator, approval_id: str, *, by: Caller = ADA, thread: str = "t1"
) -> list[Event]:
    """Resume a thread and return the turn's events."""
    return [e async for e in orchestrator.conversation.resume(thread, approval_id, by)]


def types(events: Iterable[Event]) -> list[str]:
    """Return the types of the events, repeated progress told once."""
    found: list[str] = []
    for event in events:
        if event.type != "progress" or found[-1:] != ["progress"]:
            found.append(event.type)
    return found


def texts(events: Iterable[Event]) -> str:
    """Return what the agents said."""
    return "\n".join(event.text for event in events if isinstance(event, Message))


def asked_for(events: Iterable[Event]) -> ApprovalNeeded:
    """Return the approval that a turn ended with."""
    (asked,) = (event for event in events if isinstance(event, ApprovalNeeded))
    return asked


def ending(events: list[Event]) -> End:
    """Return the event that ends a turn."""
    last = events[-1]
    assert isinstance(last, End)
    return last
