"""What is refused is refused alike at every door: bad input, and who may not do it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.doubles import doors, mcp_doors, talking_doors
from tests.doubles.doors import Door, Opener, Refused
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator import errors
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.domain.roles import Role, may

AGENT = "code_review"
NOBODY = "nobody"

#: What is asked for, and a piece of what is answered.
WRONG: list[tuple[UseCaseName, dict[str, Any], str]] = [
    ("list_agent_models", {"agent": NOBODY}, "Unknown agent 'nobody'"),
    ("train_subagent_model", {"agent": NOBODY, "dataset": "reviews"}, "Unknown agent 'nobody'"),
    ("monitor_training_job", {"job_id": "job_none"}, "No job 'job_none'"),
    ("cancel_training_job", {"job_id": "job_none"}, "No job 'job_none'"),
    ("monitor_training_job", {"job_id": "../../etc/passwd"}, "'../../etc/passwd'"),
    ("deploy_model_to_agent", {"agent": AGENT, "version": "v9.9.9"}, "'v9.9.9'"),
    ("evaluate_model_vs_baseline", {"agent": AGENT, "candidate": "v9.9.9"}, "'v9.9.9'"),
    ("evaluate_model_vs_baseline", {"agent": AGENT, "candidate": "../../etc"}, "'../../etc'"),
    ("promote_canary", {"agent": AGENT, "percent": 140}, "percent:"),
    ("simulate_canary", {"weight": 140}, "weight:"),
    ("simulate_canary", {"stable_rate": "lots"}, "stable_rate:"),
    ("train_subagent_model", {"agent": AGENT, "dataset": "none-such"}, "'none-such'"),
    ("show_dataset", {"name": "../../etc/passwd"}, "'../../etc/passwd'"),
    ("build_dataset", {"agent": AGENT, "source": "none-such.jsonl"}, "'none-such.jsonl'"),
    ("train_subagent_model", {"agent": AGENT, "method": "magic"}, "method:"),
    ("train_subagent_model", {"agent": AGENT, "overrides": {"learning_rat": 1}}, "learning_rat"),
    ("train_subagent_model", {"agent": AGENT, "backend": "hf_space"}, "$0.01 of $0.01"),
    ("rollback_deployment", {"agent": AGENT}, AGENT),
    ("deploy_space", {"hardware": "cpu-basic"}, "HUGGINGFACE_TOKEN"),
]

EVERY_DOOR = [
    doors.http,
    doors.mcp,
    doors.command_line,
    pytest.param(talking_doors.chat, marks=pytest.mark.slow),
    pytest.param(talking_doors.agent_server, marks=pytest.mark.slow),
    pytest.param(mcp_doors.mcp_stdio, marks=pytest.mark.slow),
    pytest.param(mcp_doors.mcp_http, marks=pytest.mark.slow),
    pytest.param(mcp_doors.adapters_http, marks=pytest.mark.slow),
]
#: Who comes through the doors that know more than one person. A turn of the graph takes long, and
#: that an administrator may do everything there is told in ``test_doors``.
PEOPLE = [
    *((doors.http, role) for role in get_args(Role)),
    *((doors.mcp, role) for role in get_args(Role)),
    *(
        pytest.param(opener, role, marks=pytest.mark.slow)
        for opener, roles in (
            (mcp_doors.mcp_of_the_api, get_args(Role)),
            (talking_doors.chat, ("viewer", "operator", "approver")),
            (talking_doors.agent_server, ("viewer",)),
        )
        for role in roles
    ),
]


@pytest.fixture
async def models() -> AsyncIterator[OpenAIServer]:
    """Run a server of the models that talk."""
    async with OpenAIServer(Reply("clean")) as models:
        yield models


@pytest.fixture
def workspace(tmp_path: Path, models: OpenAIServer) -> Workspace:
    """Return an installation with a data set, a Space, and a budget that is spent."""
    variables = {"MODELOPS_SPACE_URL": "http://127.0.0.1:9", "MODELOPS_SPACE_TOKEN": "secret"}
    workspace = Workspace(tmp_path, variables)
    workspace.serve_elsewhere(supervisor=models.url, infrastructure=models.url)
    workspace.build_dataset()
    defaults = workspace.config / "modelops" / "training_defaults.yaml"
    text = defaults.read_text()
    assert "max_usd_per_month: 200" in text
    defaults.write_text(text.replace("max_usd_per_month: 200", "max_usd_per_month: 0.01"))
    return workspace


async def refusal(door: Door, use_case: UseCaseName, values: dict[str, Any]) -> Refused:
    """Return what a door answers to a request that it has to refuse."""
    with pytest.raises(Refused) as refused:
        await door.ask(use_case, values)
    return refused.value


@pytest.mark.parametrize("opener", EVERY_DOOR, ids=lambda opener: opener.__name__)
async def test_a_wrong_request_is_answered_alike(
    opener: Opener, workspace: Workspace, models: OpenAIServer
):
    """The same message and remedy, and the same error where the door names it."""
    async with doors.embedded(workspace, models) as inside:
        expected = [await refusal(inside, use_case, values) for use_case, values, _ in WRONG]
    for (_, _, piece), one in zip(WRONG, expected, strict=True):
        assert piece in one.said
    async with opener(workspace, models) as door:
        told = [await refusal(door, use_case, values) for use_case, values, _ in WRONG]
    assert [one.said for one in told] == [one.said for one in expected]
    assert all(one.error in {None, other.error} for one, other in zip(told, expected, strict=True))


def least(use_case: UseCaseName) -> dict[str, Any]:
    """Return a request of somebody's who does not exist: allowed or not, it changes nothing."""
    fields = USE_CASES[use_case].request.model_fields
    wanted: dict[str, Any] = {name: NOBODY for name, one in fields.items() if one.is_required()}
    wanted |= {"agent": NOBODY} if "agent" in fields else {}
    typed = {"space": {"learning_rate": [1e-4]}, "form": "messages"}
    wanted |= {name: value for name, value in typed.items() if name in wanted}
    return wanted | ({"runs": 2} if "runs" in fields else {})


async def is_allowed(door: Door, use_case: UseCaseName) -> bool:
    """Return whether a door lets somebody do it, however it went then."""
    try:
        await door.ask(use_case, least(use_case))
    except Refused as refused:
        return refused.error != errors.Forbidden.__name__
    return True


@pytest.mark.parametrize(
    ("opener", "role"), PEOPLE, ids=lambda given: getattr(given, "__name__", given)
)
async def test_a_role_may_do_the_same_at_every_door(
    opener: doors.OpenerOfPeople, role: Role, workspace: Workspace, models: OpenAIServer
):
    """What its kind of use case asks for, looking or changing; who may not, is told so first."""
    async with opener(workspace, models, role) as door:
        found = {use_case: await is_allowed(door, use_case) for use_case in USE_CASES}
    assert found == {
        use_case: may(role, "change" if spec.changes else "read")
        for use_case, spec in USE_CASES.items()
    }
