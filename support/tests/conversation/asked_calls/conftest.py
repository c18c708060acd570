"""An agent that opens issues in a tracker, each with a person's approval."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.conversation.conftest import BOB
from tests.doubles import mcp_tracker
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.conversation.events import ApprovalNeeded, Event
from agent_orchestrator.wiring.orchestrator import Orchestrator, open_orchestrator

ASKED = "Open an issue about the failing build"
CARL = Caller("carl", "http", role="approver")


def write_mapping(workspace: Workspace, server: Mapping[str, Any], **allowed: Any) -> None:
    """Let cicd use the tracker."""
    use = {"tools": ["create_issue", "find_issue"], **allowed}
    mapping = {"servers": {"tracker": server}, "agents": {"cicd": {"tracker": use}}}
    path = workspace.config / "mcp-agent-tool-mapping.yaml"
    path.write_text(json.dumps(mapping), encoding="utf-8")  # JSON is YAML, too


def created(*arguments: str, ids: Sequence[str] = ("call_0", "call_1")) -> Reply:
    """Return an answer that calls the tool once for each text of arguments."""
    calls = [
        {
            "id": name,
            "type": "function",
            "function": {"name": "tracker_create_issue", "arguments": text},
        }
        for name, text in zip(ids, arguments, strict=False)
    ]
    return Reply("", tool_calls=calls)


def titled(*titles: str) -> list[str]:
    """Return the arguments of a call for each title."""
    return [json.dumps({"title": title}) for title in titles]


class Model:
    """The supervisor hands to cicd; cicd opens issues, then says what its tools answered."""

    def __init__(self) -> None:
        self.first = created(*titled("Build fails"))
        self.then: Reply | None = None

    def __call__(self, body: Mapping[str, Any]) -> Reply:
        """Answer."""
        messages = body["messages"]
        if body["model"] == "acme/supervisor":
            if "build" not in str(messages[-1]["content"]):
                return Reply("Good.")
            piece = {"agent": "cicd", "task": ASKED}
            route = {"name": "Route", "arguments": json.dumps({"pieces": [piece]})}
            return Reply("", tool_calls=[{"id": "r", "type": "function", "function": route}])
        answers = [str(m["content"]) for m in messages if m["role"] == "tool"]
        if answers and (self.then is None or len(answers) > 1):
            return Reply("Heard: " + " | ".join(answers))
        return (self.then or self.first) if answers else self.first


@pytest.fixture
def model() -> Model:
    """Return the model, which opens one issue."""
    return Model()


@pytest.fixture
async def issues(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Path]:
    """Let cicd use a tracker over HTTP; return the file that its issues are in."""
    monkeypatch.setenv("TRACKER_FILE", str(tmp_path / "issues"))
    async with mcp_tracker.served() as url:
        write_mapping(workspace, {"transport": "http", "url": url})
        yield tmp_path / "issues"


@pytest.fixture
async def server(workspace: Workspace, model: Model, issues: Path) -> AsyncIterator[OpenAIServer]:
    """Serve the models of the supervisor and cicd."""
    async with OpenAIServer(model) as server:
        workspace.serve_elsewhere(supervisor=server.url, cicd=server.url)
        yield server


@pytest.fixture
async def chef(workspace: Workspace, server: OpenAIServer) -> AsyncIterator[Orchestrator]:
    """Return the orchestrator, open."""
    async with open_orchestrator(workspace.settings()) as opened:
        yield opened


def asked(events: Sequence[Event]) -> list[ApprovalNeeded]:
    """Return the approvals that a turn asks for."""
    return [event for event in events if isinstance(event, ApprovalNeeded)]


def written(issues: Path) -> list[str]:
    """Return the issues that were created."""
    return issues.read_text(encoding="utf-8").splitlines() if issues.exists() else []


async def asked_of(chef: Orchestrator, approval: ApprovalNeeded) -> dict[str, Any]:
    """Return the request that an approval is about."""
    return (await chef.embedded.coordinator.get_approval(approval.approval_id)).request


async def answer(chef: Orchestrator, approval: ApprovalNeeded, **given: Any) -> None:
    """Answer an approval, as bob unless it is said otherwise."""
    who = given.pop("by", BOB)
    await chef.embedded.coordinator.answer(approval.approval_id, who, **{"approve": True, **given})
