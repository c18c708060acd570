"""``chef chat``: turns from a sentence, from lines and at a terminal."""

import io
import json
import os
import pwd
import sys

import pytest
from tests.cli.conftest import Chef
from tests.cli.test_jobs import at_terminal
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.conversation.events import EVENT
from agent_orchestrator.stores.models_yaml import ModelsYaml

ME = pwd.getpwuid(os.getuid()).pw_name
DEPLOY = "Deploy v1.0.0 to code_review immediately"


@pytest.fixture
def version(workspace: Workspace) -> None:
    """Register a version whose model answers, and that was found good."""
    workspace.build_dataset()
    workspace.add_artifact("acme/one")
    registry = ModelRegistry(workspace.settings().registry_json)
    registry.add_model_version("code_review", model_id="acme/one")
    scores = {"accuracy": 0.9, "recommendation": "deploy"}
    registry.update_evaluation_scores("code_review", "v1.0.0", scores)


def test_a_sentence_is_one_turn_and_the_conversation_is_kept(chef: Chef, workspace: Workspace):
    """The next call answers what was proposed last; another thread knows nothing of it."""
    workspace.build_dataset()
    first = chef("chat", "code_review misses defects, train it better")
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith("infrastructure> Train ")
    assert "Nothing is proposed" in chef("chat", "--thread", "other", "yes").out
    second = chef("chat", "yes")
    assert second.code == 0, second
    assert "registered as v1.0.0" in second.out
    assert "Go on with production?" in second.out


def test_each_event_is_a_document_for_machines(chef: Chef):
    """In the types of the conversation's events, with nothing beside them."""
    done = chef("chat", "--json", "--new", "list the models of cicd")
    events = [EVENT.validate_json(line) for line in done.out.splitlines()]
    assert [event.type for event in events] == ["said", "result", "message", "end"]
    assert done.err == ""


def test_an_error_ends_the_command_with_its_own_exit_code(chef: Chef):
    """After the conversation has shown it."""
    done = chef("chat", "roll back cicd to v9.9.9")
    assert done.code == 2
    assert "v9.9.9" in done.err


@pytest.mark.usefixtures("version")
def test_an_approval_that_waits_is_exit_code_3(chef: Chef, workspace: Workspace):
    """Answered at another door, the conversation goes on with it."""
    before = workspace.models_yaml.read_bytes()
    done = chef("chat", DEPLOY)
    assert done.code == 3
    approval = json.loads(chef("approvals", "--json").out)[0]
    assert (approval["requester"], workspace.models_yaml.read_bytes()) == (ME, before)
    assert approval["id"] in done.err
    assert chef("approve", approval["id"], "--only").code == 0
    done = chef("chat", "anything new?")
    assert "v1.0.0 serves all traffic of code_review" in done.out


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize(
    "answer",
    [
        b"y\n",
        pytest.param(b"n\n", marks=pytest.mark.slow),
        pytest.param(b"\n", marks=pytest.mark.slow),
    ],
)
def test_an_approval_is_answered_in_place(workspace: Workspace, answer: bytes):
    """Yes carries it out, no rejects it, Enter leaves it waiting."""
    done, screen = at_terminal(workspace, ("chat", DEPLOY), answer)
    serving = ModelsYaml(workspace.models_yaml).read().agent_models["code_review"]
    assert "Approve?" in screen
    assert (serving == "acme/one") == (answer == b"y\n")
    assert done.returncode == (3 if answer == b"\n" else 0), done
    assert ("rejected" in done.stdout) == (answer == b"n\n")


def test_lines_are_turns(chef: Chef, monkeypatch: pytest.MonkeyPatch):
    """From a pipe: a line each, until it ends."""
    lines = io.StringIO("list the models of cicd\n\nlist the models of docs\nquit\nnot read\n")
    monkeypatch.setattr(sys, "stdin", lines)
    done = chef("chat", "--json", "--new")
    said = [json.loads(line) for line in done.out.splitlines()]
    texts = [event["text"] for event in said if event["type"] == "said"]
    assert texts == ["list the models of cicd", "list the models of docs"]


def test_a_new_conversation_has_no_name_yet(chef: Chef):
    """Asking for both is a mistake."""
    done = chef("chat", "--new", "--thread", "mine", "hello")
    assert done.code == 2
    assert "contradict" in done.err
