"""Every door offers every use case, with the same fields and the same results.

One story uses them all, from a file of examples to a rollback. It is told at each door in an
installation of its own, and at the coordinator itself, and must come out the same.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from langsmith import Client, traceable, tracing_context
from tests.doubles import doors, mcp_doors, talking_doors
from tests.doubles.api_client import usual_app
from tests.doubles.doors import Document, Door, Opener
from tests.doubles.hub import USER, Account, HubDouble
from tests.doubles.inference_endpoints import TOKEN, huggingface_cloud
from tests.doubles.langsmith import KEY, LangSmith
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import MonitorTrainingJob
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import (
    RolloutReport,
    RolloutStatusRequest,
)
from agent_orchestrator.agents.infrastructure.workflows.modelops.consulting import use_case_tools
from agent_orchestrator.cli.usecase import command
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.domain.jobs import JobStatus
from agent_orchestrator.mcp_server.tools import list_tools
from agent_orchestrator.wiring.embedded import compose

AGENT = "code_review"
Told = list[tuple[str, Document]]
Ask = Callable[..., Awaitable[Document]]

#: What is another one in every installation: ids, places, times. Hashes go before days, for one in
#: thousands looks like a day, or has one within it.
_PASSING = (
    (re.compile(r"(job|ap|ro)_[0-9][\w-]*|ap_[0-9a-f]{12}"), "<id>"),
    (re.compile(r"20\d\d-\d\d-\d\dT[\d:.]+(Z|[+-][\d:]+)?"), "<time>"),
    (re.compile(r"127\.0\.0\.1(:|', )\d+"), "<address>"),
    (re.compile(r"\d+(\.\d+)? (ms|s)\b"), "<duration>"),
    (re.compile(r"agents-\d+-[0-9a-f]+"), "<process>"),
    (re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{6,}(?![0-9a-zA-Z])"), "<hash>"),
    (re.compile(r"20\d\d-\d\d-\d\d"), "<day>"),
)
#: Numbers that a clock made.
_CLOCKED = re.compile(r"(^at|_at|_s|_ms|seconds|spent_usd|left_usd|actual_minutes|spent_hours)$")


def settled(value: Any, folder: Path, key: str = "", *, user: str) -> Any:
    """Return a result without what is another one in every installation; types stay."""
    if isinstance(value, dict):
        if value.get("measure") == "latency_s":
            return "<measured>"
        inner = {k.replace(str(folder), "<folder>"): one for k, one in value.items()}
        return {k: settled(one, folder, k, user=user) for k, one in inner.items()}
    if isinstance(value, list):
        return [settled(one, folder, key, user=user) for one in value]
    if key in {"actor", "requester"}:
        return "<user>" if value == user else value
    if (isinstance(value, float) and _CLOCKED.search(key)) or key == "outcome":
        return "<measured>"  # an outcome's position: a conversation's own calls are among them
    if isinstance(value, str):
        value = value.replace(str(folder), "<folder>")
        for pattern, word in _PASSING:
            value = pattern.sub(word, value)
    return value


def differences(here: Any, there: Any, path: str = "") -> Iterator[str]:
    """Yield where two results differ."""
    if isinstance(here, dict) and isinstance(there, dict):
        for key in here.keys() | there.keys():
            yield from differences(
                here.get(key, "<absent>"), there.get(key, "<absent>"), f"{path}.{key}"
            )
    elif (
        isinstance(here, (list, tuple))
        and isinstance(there, (list, tuple))
        and len(here) == len(there)
    ):
        for number, (one, other) in enumerate(zip(here, there, strict=True)):
            name = one[0] if isinstance(one, tuple) else number
            yield from differences(one, other, f"{path}.{name}")
    elif here != there:
        yield f"{path}: {here!r}, not {there!r}"


# -- the world ------------------------------------------------------------------------------------


@asynccontextmanager
async def installation(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Workspace, OpenAIServer]]:
    """Return an installation where every use case has something to do."""
    async with (
        OpenAIServer(lambda _body: Reply("clean")) as models,
        huggingface_cloud(monkeypatch) as cloud,
    ):
        cloud.add("reviewer", "acme/one", "scaledToZero")
        with HubDouble() as hub, LangSmith() as langsmith:
            hub.accounts[TOKEN] = Account()
            monkeypatch.setattr(constants, "ENDPOINT", hub.url)
            at_the_hub = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
            monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", at_the_hub)
            workspace = Workspace(
                folder,
                {
                    "HUGGINGFACE_TOKEN": TOKEN,
                    "HF_ENDPOINT": hub.url,
                    "MODELOPS_HUB_ORG": USER,
                    "MODELOPS_SPACE_TOKEN": "space-secret",
                    "LANGSMITH_API_KEY": KEY,
                    "LANGSMITH_ENDPOINT": langsmith.url,
                    "CHEF_LLAMA_CPP": str(folder / "llama.cpp"),
                },
            )
            _furnish(workspace, models.url)
            _trace(langsmith)
            try:
                yield workspace, models
            finally:
                _end_jobs(workspace)


def _furnish(workspace: Workspace, models: str) -> None:
    """Have models that answer, a version, examples, and llama.cpp as far as it is looked for."""
    served = ("supervisor", "code_review", "cicd", "infrastructure")
    workspace.serve_elsewhere(**dict.fromkeys(served, models))
    workspace.add_artifact("acme/one")
    registry = ModelRegistry(workspace.settings().registry_json)
    registry.add_model_version(AGENT, model_id="acme/one")
    (workspace.folder / "llama.cpp").mkdir()
    (workspace.folder / "llama.cpp" / "ready").touch()
    answer = {"answer": "clean"}
    workspace.write_rows(
        [
            {"id": f"q{n}", "inputs": {"task": f"Is {n} clean?"}, "outputs": answer}
            for n in range(2)
        ],
        "questions",
    )
    experiment = {"name": "modes", "models": ["acme/cicd"], "examples": "questions.jsonl"}
    (workspace.folder / "modes.yaml").write_text(json.dumps(experiment))


def _trace(langsmith: LangSmith) -> None:
    @traceable
    def release(task: str) -> str:
        return f"{task} is done"

    client = Client(api_url=langsmith.url, api_key=KEY)
    about = {"metadata": {"agent": "cicd"}}
    with tracing_context(enabled=True, client=client, project_name="shop"):
        release("12", langsmith_extra=about)  # type: ignore[call-arg]
    client.flush()


def _end_jobs(workspace: Workspace) -> None:
    for record in (workspace.state / "jobs").glob("*/process.json"):
        try:
            os.kill(json.loads(record.read_text())["pid"], 9)
        except ProcessLookupError:
            continue


async def until(workspace: Workspace, status: JobStatus) -> None:
    """Wait until the agent's newest job stands so."""
    desk = compose(workspace.settings()).job_desk

    def look() -> bool:
        return desk.report(MonitorTrainingJob(agent=AGENT)).status == status

    await eventually(look)


async def until_seen(workspace: Workspace) -> None:
    """Wait until the serving process has reported the health of every arm."""
    coordinator = compose(workspace.settings()).coordinator
    request = RolloutStatusRequest(agent=AGENT)

    def look() -> bool:
        report = asyncio.run(coordinator.run("rollout_status", request, doors.ADA))
        assert isinstance(report, RolloutReport)
        return all(arm.health == "closed" for arm in report.arms)

    await eventually(look)


# -- the story ------------------------------------------------------------------------------------


async def tell(door: Door, workspace: Workspace) -> Told:
    """Use every use case, in an order that makes sense; return what each answered."""
    told: Told = []

    async def ask(use_case: UseCaseName, **values: Any) -> Document:
        told.append((use_case, await door.ask(use_case, values)))
        return told[-1][1]

    source = str(workspace.write_examples())
    await ask("check_dataset", agent=AGENT, source=source)
    await ask("build_dataset", agent=AGENT, source=source)
    await ask("list_datasets", agent=AGENT)
    await ask("show_dataset", name="reviews")
    await ask("export_dataset", name="reviews", form="messages", folder=f"{workspace.folder}/out")

    workspace.scenario(seconds=3600.0)  # cut off before its first step
    await ask("train_subagent_model", agent=AGENT, dataset="reviews", overrides={"num_epochs": 2})
    await until(workspace, "running")
    await ask("cancel_training_job", agent=AGENT)
    assert told[-1][1].pop("status") in {"running", "cancelled"}  # as soon as it gets round to it
    await until(workspace, "cancelled")
    workspace.scenario()
    await ask("resume_training_job", agent=AGENT)
    await until(workspace, "completed")
    await ask("monitor_training_job", agent=AGENT)
    await ask("list_agent_models", agent=AGENT)
    await ask("list_costs", agent=AGENT)

    jobs = await start_jobs(ask, workspace)
    await ask("score_runs", agent="cicd", project="shop")
    await ask("simulate_canary", candidate_rate=0.2, runs=5)
    for job_id in jobs:
        told.append(("monitor_training_job", await door.follow(job_id)))
        assert told[-1][1]["status"] == "completed", told[-1]

    await ask("deploy_model_to_agent", agent=AGENT, model="acme/cicd", override_reason="first")
    await until_seen(workspace)
    await ask("rollout_status", agent=AGENT)
    await ask("promote_canary", agent=AGENT, percent=50)
    await ask("reset_breaker", agent=AGENT)
    await ask("rollback_deployment", agent=AGENT)

    await ask("list_endpoints")
    await ask("wake_endpoint", name="reviewer")
    await ask("endpoint_status", name="reviewer")
    await ask("sleep_endpoint", name="reviewer")
    await ask("deploy_space", hardware="cpu-basic")
    await ask("space_status", space=f"{USER}/modelops-trainer")
    await ask("pause_space", force=True)
    await ask("restart_space", force=True)
    return told


async def start_jobs(ask: Ask, workspace: Workspace) -> list[str]:
    """Start one of each kind that is left, all to run at the same time; return their ids."""
    template = str(workspace.folder / "modes.yaml")
    space = {"learning_rate": [1e-4, 1e-5]}
    started = [
        await ask("search_hyperparameters", agent=AGENT, space=space, max_examples=20),
        await ask(
            "evaluate_model_vs_baseline",
            agent=AGENT,
            candidate="v1.1.0",
            max_examples=3,
            offline=True,
        ),
        await ask("convert_model_to_gguf", agent=AGENT, version="v1.1.0", max_examples=3),
        await ask("run_experiment", template=template, offline=True),
    ]
    return [one["job_id"] for one in started]


@pytest.fixture(scope="module")
def expected() -> dict[str, Told]:
    """Keep what the coordinator told, for all doors of this process."""
    return {}


async def told_at(opener: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Tell the story at a door, in a fresh installation."""
    async with (
        installation(folder, monkeypatch) as (workspace, models),
        opener(workspace, models) as door,
    ):
        told = await tell(door, workspace)
        user = door.user
    return [(name, settled(result, folder, user=user)) for name, result in told]


def test_ids_are_left_out_whatever_their_digits(tmp_path: Path):
    """One that looks like a day is none, nor is one a day that has one within it."""
    made = [
        settled(f"reviews-{digest}, acme/{day}_{short}-r1t2", tmp_path, user="ada")
        for digest, day, short in (
            ("ab" * 32, "2026-11-21", "bfcbc201"),
            ("c20681236d" + "0" * 54, "2026-11-22", "20681236"),
        )
    ]
    assert made == ["reviews-<hash>, acme/<day>_<hash>-r1t2"] * 2


def test_every_door_takes_the_fields_of_the_request():
    """None is left out and none is added: command line, HTTP, MCP, a model's tools."""
    document = usual_app().openapi()
    bodies = {
        name: document["paths"][f"/modelops/{name}"]["post"]["requestBody"]["content"]
        for name in USE_CASES
    }
    by_mcp = {tool.name: tool.inputSchema for tool in list_tools()}
    by_model = {tool["function"]["name"]: tool["function"] for tool in use_case_tools()}
    for name, spec in USE_CASES.items():
        fields = spec.request.model_fields.keys()
        reference = bodies[name]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert document["components"]["schemas"][reference]["properties"].keys() == fields
        assert by_mcp[name]["properties"].keys() == fields
        assert by_model[name]["parameters"]["properties"].keys() == fields
        typed = {option.name for option in command(name).params}
        assert typed - {"as_json", "yes", "wait", "follow"} == fields


@pytest.mark.parametrize(
    "opener",
    [
        pytest.param(doors.mcp, marks=pytest.mark.slow),
        pytest.param(doors.http, marks=pytest.mark.slow),
        pytest.param(doors.command_line, marks=pytest.mark.slow),
        pytest.param(talking_doors.chat, marks=pytest.mark.slow),
        pytest.param(talking_doors.agent_server, marks=pytest.mark.slow),
        pytest.param(mcp_doors.mcp_stdio, marks=pytest.mark.slow),
        pytest.param(mcp_doors.mcp_http, marks=pytest.mark.slow),
        pytest.param(mcp_doors.adapters_stdio, marks=pytest.mark.slow),
        pytest.param(mcp_doors.adapters_http, marks=pytest.mark.slow),
    ],
    ids=lambda opener: opener.__name__,
)
async def test_a_use_case_is_the_same_at_every_door(
    opener: Opener,
    expected: dict[str, Told],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """All of them, with the results that the coordinator itself gives."""
    for name in list(os.environ):
        if name.startswith(("CHEF_", "MODELOPS_", "HUGGINGFACE_", "OPENROUTER_", "LANGSMITH_")):
            monkeypatch.delenv(name)
    if not expected:
        expected["story"] = await told_at(doors.embedded, tmp_path / "own", monkeypatch)
    assert {use_case for use_case, _ in expected["story"]} == USE_CASES.keys()
    told = await told_at(opener, tmp_path / "door", monkeypatch)
    assert sorted(differences(told, expected["story"])) == []
