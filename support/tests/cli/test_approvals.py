"""Approvals at the command line: asked, answered, spent once, and by whom."""

import os
import pwd
from typing import Any

import pytest
from tests.cli.conftest import Chef, Done
from tests.cli.test_jobs import at_terminal
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry

DEPLOY = ("deploy", "code_review", "--strategy", "immediate", "--override-reason", "rehearsal")
ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture(autouse=True)
def version(workspace: Workspace) -> None:
    """Register two versions whose models answer."""
    workspace.build_dataset()
    registry = ModelRegistry(workspace.config / "models" / "registry.json")
    for model in ("acme/one", "acme/two"):
        workspace.add_artifact(model)
        registry.add_model_version("code_review", model_id=model)


def asked(chef: Chef, *arguments: str) -> str:
    """Run a command that needs an approval; return the approval's id."""
    done = chef(*(arguments or DEPLOY), "--json")
    assert done.code == 3, done
    assert done.json["error"] == "ApprovalRequired"
    approval_id: str = done.json["approval_id"]
    return approval_id


def test_a_change_of_what_serves_waits_for_an_approval(chef: Chef, workspace: Workspace):
    """Exit code 3, one line with the command that approves; nothing has changed."""
    before = workspace.models_yaml.read_bytes()
    done = chef(*DEPLOY)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("Waiting: Needs approval ap_")
    assert "`chef approve ap_" in done.err
    assert done.err.count("\n") == 1
    assert workspace.models_yaml.read_bytes() == before


def test_an_approved_request_is_carried_out_once(chef: Chef):
    """Approving carries it out; a second time there is nothing to approve."""
    approval = asked(chef)
    (pending,) = chef("approvals", "--json").json
    assert (pending["id"], pending["requester"], pending["status"]) == (approval, ME, "pending")
    assert approval in chef("approvals").out
    done = chef("approve", approval, "--reason", "fine", "--json")
    assert done.code == 0, done.err
    assert (done.json["deployed"], done.json["version"]) == (True, "v1.1.0")
    again = chef("approve", approval)
    assert again.code == 1
    assert again.err.count("\n") == 1
    assert chef("approvals", "--json").json == []
    actions = [entry["action"] for entry in chef("audit", "--json").json]
    assert actions[:3] == ["approval_asked", "approved", "approval_spent"]


def test_an_approval_may_be_left_to_others_to_carry_out(chef: Chef):
    """``--only`` approves; whoever resumes it needs no second answer."""
    approval = asked(chef)
    assert chef("approve", approval, "--only", "--json").json == {
        "approval_id": approval,
        "status": "approved",
    }
    assert chef("approve", approval, "--json").json["version"] == "v1.1.0"


def test_a_rejected_request_stays_rejected(chef: Chef):
    """It cannot be approved any more."""
    approval = asked(chef)
    assert chef("reject", approval, "--reason", "no").out == f"{approval} is rejected.\n"
    done = chef("approve", approval)
    assert done.code == 1
    assert "rejected" in done.err


def test_an_approval_is_shown_whole(chef: Chef):
    """The request, its price and who asked; as JSON the same as in the list."""
    approval = asked(chef)
    shown = chef("approvals", "show", approval)
    assert shown.out.startswith(f"{approval} is pending: v1.1.0")
    for text in (f"asked by           {ME}", '"rehearsal"', "chef approve"):
        assert text in shown.out
    document = chef("approvals", "show", approval, "--json").json
    assert [document] == chef("approvals", "--json").json
    assert document["request"]["strategy"] == "immediate"
    assert chef("approvals", "show", "ap_9").code == 2


def test_an_edited_request_is_shown_anew_and_replaces_the_old_one(chef: Chef):
    """Its summary and id are new, the old id opens nothing, the new one carries the edit out."""
    approval = asked(chef)
    done = chef("approvals", "edit", approval, "strategy=canary_20pct", "--reason", "slowly")
    assert done.code == 0, done.err
    (pending,) = chef("approvals", "--json").json
    new = pending["id"]
    assert done.out.startswith(f"{new} is pending: v1.1.0")
    assert f"asked by           {ME}, edited by {ME}" in done.out
    assert f"in the place of    {approval}" in done.out
    assert (pending["request"]["strategy"], pending["editors"]) == ("canary_20pct", [ME])
    refused = chef("approve", approval)
    assert refused.code == 1
    assert f"{new} stands in its place" in refused.err
    assert chef("approve", new, "--json").json["rollout_pct"] == 20
    ends = {entry["id"]: entry["status"] for entry in chef("approvals", "--all", "--json").json}
    assert ends == {approval: "edited", new: "consumed"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("strategy", "'strategy' is not KEY=VALUE"),
        ("strategy=immediate", "Nothing would change"),
        ("strategy=at_once", "strategy"),
        ("colour=red", "takes no 'colour'"),
        ("dry_run=true", "A dry run needs no approval"),
        ("version=v9.9.9", "v9.9.9"),
    ],
)
def test_an_edit_that_makes_no_request_leaves_the_old_one(chef: Chef, change: str, says: str):
    """What is wrong is named, and what waited still waits."""
    approval = asked(chef)
    done = chef("approvals", "edit", approval, change)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert says in done.err
    assert [entry["id"] for entry in chef("approvals", "--json").json] == [approval]


def test_a_request_can_be_taken_back(chef: Chef):
    """Cancelled, it can be neither approved nor carried out."""
    approval = asked(chef)
    done = chef("approvals", "cancel", approval, "--reason", "not today")
    assert done.out == f"{approval} is cancelled.\n"
    assert "is cancelled" in chef("approve", approval).err
    assert "not today" in chef("approvals", "show", approval).out


def test_yes_approves_in_place(chef: Chef):
    """The embedded mode's user may do so."""
    done = chef(*DEPLOY, "--yes")
    assert done.code == 0, done.err
    assert "Checklist for acme/two" in done.out
    assert "v1.1.0 has 100 % of the traffic of code_review" in done.out


def test_where_the_requester_may_not_approve_yes_does_not_help(
    chef: Chef, monkeypatch: pytest.MonkeyPatch
):
    """Nor does another name in the environment: the operating system says who it is."""
    monkeypatch.setenv("CHEF_REQUESTER_MAY_APPROVE", "false")
    assert chef(*DEPLOY, "--yes").code == 1
    approval = asked(chef)
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "mallory")
    done = chef("approve", approval)
    assert done.code == 1
    assert done.err.count("\n") == 1
    (pending, *_) = chef("approvals", "--json").json
    assert pending["requester"] == ME


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 3)])
def test_at_a_terminal_the_person_is_asked(workspace: Workspace, answer: bytes, code: int):
    """A yes carries it out, a no leaves the approval waiting."""
    done, screen = at_terminal(workspace, DEPLOY, answer)
    assert done.returncode == code, screen
    assert "Approve now?" in screen


# -- a rollout from its start to its end ----------------------------------------------------------


def test_a_rollout_is_shown_promoted_and_rolled_back(chef: Chef):
    """As tables for people and documents for machines; status agrees."""
    assert chef("rollout", "code_review").out == "code_review has had no rollout.\n"
    canary = run(chef, "deploy", "code_review", "--version", "v1.1.0", "--override-reason", "r")
    assert (canary["rollout_pct"], canary["version"]) == (20, "v1.1.0")
    shown = chef("rollout", "code_review")
    assert (
        f"Rollout {canary['rollout_id']} of code_review (canary): running, 20 % candidate"
        in shown.out
    )
    assert "Arms" in shown.out
    status = chef("status")
    assert canary["rollout_id"] in status.out
    assert "stable 80 % / v1.1.0 20 %" in status.out
    assert run(chef, "promote", "code_review", "--percent", "60")["weight"] == 60
    back = run(chef, "rollback", "code_review")
    assert back["model"] == "deepseek/deepseek-chat"
    assert "is served by deepseek/deepseek-chat" in chef("models", "code_review").out
    served = chef("registry", "served", "code_review", "--json").json
    assert [entry["percent"] for entry in served] == [20, 60]
    assert "v1.1.0" in chef("registry", "served", "code_review").out
    reset = run(chef, "reset-breaker", "code_review", "--arm", "stable")
    assert reset["health"] == "unknown"


def run(chef: Chef, *arguments: str) -> dict[str, Any]:
    """Run a command, approved in place; return its document."""
    yes = () if arguments[0] == "reset-breaker" else ("--yes",)
    done: Done = chef(*arguments, *yes, "--json")
    assert done.code == 0, done
    document: dict[str, Any] = done.json
    return document
