"""Experiments: a template in, real calls to loopback servers, a report out."""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.experiments.plans import (
    RIDDLES_FILE,
    read_examples,
)
from agent_orchestrator.agents.infrastructure.modelops.experiments.report import load_experiment
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import PlannedChange
from agent_orchestrator.agents.infrastructure.modelops.usecases.experiments import (
    ExperimentResult,
    RunExperiment,
)
from agent_orchestrator.errors import (
    ApprovalRequired,
    InputError,
    NotFoundError,
    SettingsError,
    StorageError,
    UpstreamError,
)
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.wiring.embedded import compose
from agent_orchestrator.wiring.experiment_process import carry_out
from agent_orchestrator.wiring.experiments import compose_experiments
from agent_orchestrator.wiring.job_process import JobLog

ADA = Caller("ada", "cli", "admin")
RIDDLES = {riddle.task: riddle for riddle in read_examples(RIDDLES_FILE)}
SMALL, LARGE = "acme/cicd", "acme/code_review"
STEPS = "step by step"


def luck(*parts: str) -> float:
    """Return a number in 0..1 that is the same in every run."""
    return int(hashlib.sha256("|".join(parts).encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


def solved(body: Mapping[str, Any]) -> Reply:
    """Answer riddles: the large model knows more, and steps help it."""
    system, task = body["messages"][0]["content"], body["messages"][-1]["content"]
    riddle = RIDDLES[task]
    share = 0.35 if body["model"] == SMALL else 0.6 + 0.35 * (STEPS in system)
    knows = luck(task) < share
    if "code" in riddle.outputs:
        return Reply(f"```python\n{riddle.outputs['code']}```" if knows else "I cannot.")
    return Reply(f"Thinking.\nAnswer: {riddle.outputs['answer'] if knows else 'unknown'}")


@pytest.fixture
async def server(workspace: Workspace) -> AsyncIterator[OpenAIServer]:
    """Return a server of two models that the workspace knows."""
    async with OpenAIServer(solved) as server:
        workspace.serve_elsewhere(cicd=server.url, code_review=server.url)
        yield server


def asked(template: str = "reasoning_modes", **given: Any) -> RunExperiment:
    """Return the request."""
    return RunExperiment(template=template, **{"models": [SMALL, LARGE], **given})


async def door(workspace: Workspace, template: str = "reasoning_modes", **given: Any) -> Any:
    """Ask for an experiment as ``chef`` does: its job is a process of its own."""
    coordinator = compose(workspace.settings()).coordinator
    return await coordinator.run("run_experiment", asked(template, **given), ADA)


async def run(
    workspace: Workspace, template: str = "reasoning_modes", **given: Any
) -> ExperimentResult:
    """Run an experiment's job in this process."""
    settings = workspace.settings()
    embedded = compose(settings)
    folders: list[Path] = []

    def start(job_id: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        folders.append(workspace.folder / job_id)
        folders[0].mkdir()
        (folders[0] / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
        return {"folder": str(folders[0])}

    experiments = compose_experiments(
        settings,
        embedded.job_desk,
        Catalogue(ModelsYaml(settings.models_yaml), embedded.registry, settings.artifacts_dir),
        DatasetStore(settings.datasets_dir),
        start=start,
    )
    await experiments.plan(asked(template, **given), ADA).act(None)
    manifest = await carry_out(settings, folders[0], JobLog(folders[0]))
    return ExperimentResult.model_validate(manifest["experiment"])


def report(result: ExperimentResult, kind: str) -> str:
    """Return the text of a report."""
    return Path(result.reports[kind]).read_text(encoding="utf-8")


def write(workspace: Workspace, name: str = "mine", **changes: Any) -> str:
    """Write a template of one mode; return its path."""
    plain = {"name": name, "models": [SMALL, LARGE], "max_examples": 8, "budget_usd": 1}
    path = workspace.folder / f"{name}.yaml"
    path.write_text(json.dumps(plain | changes), encoding="utf-8")  # JSON is YAML
    return str(path)


async def test_the_shipped_template_compares_models_and_modes(
    workspace: Workspace, server: OpenAIServer
):
    """Six arms answer 64 riddles each; what differs is settled, and the report says so."""
    result = await run(workspace)
    assert len(server.requests) == 6 * 64
    assert (result.n_examples, len(result.arms), len(result.contrasts)) == (64, 6, 5)
    assert result.baseline == f"{SMALL} · direct"
    scores = {arm.arm: arm.scores["accuracy"] for arm in result.arms}
    assert scores[f"{LARGE} · {STEPS}"] > scores[f"{LARGE} · direct"] > scores[result.baseline]
    best = next(c for c in result.contrasts if c.arm == f"{LARGE} · {STEPS}")
    assert best.supported
    assert best.interval[0] > 0
    assert best.p_value <= best.p_adjusted < 0.05
    assert all(arm.cost_usd == 0.0 for arm in result.arms)
    same = next(c for c in result.contrasts if c.arm == f"{SMALL} · {STEPS}")
    assert same.difference == 0.0
    page = report(result, "html")
    assert f"{LARGE} · {STEPS}" in page
    assert "<svg" in page
    text = report(result, "markdown")
    assert "## Beside the baseline" in text
    kept = load_experiment(Path(result.reports["json"]))
    assert kept.baseline == result.baseline
    modes = {body["messages"][0]["content"] for body in (seen.body for seen in server.requests)}
    assert len(modes) == 3


async def test_a_second_run_asks_nobody_and_finds_the_same(
    workspace: Workspace, server: OpenAIServer
):
    """What was paid for is kept; ``no_cache`` asks anew."""
    first = await run(workspace, write(workspace, repetitions=2))
    assert len(server.requests) == 2 * 2 * 8
    second = await run(workspace, write(workspace, repetitions=2))
    assert len(server.requests) == 2 * 2 * 8
    assert [arm.cached_calls for arm in second.arms] == [16, 16]
    for before, after in zip(first.arms, second.arms, strict=True):
        timed = {"latency_threshold": before.scores["latency_threshold"]}
        assert before.scores == timed | after.scores  # what is kept was not timed now
        assert after.avg_latency_s is None
    await run(workspace, write(workspace, repetitions=3))
    assert len(server.requests) == 2 * 3 * 8
    await run(workspace, write(workspace), no_cache=True)
    assert len(server.requests) == 2 * 4 * 8


async def test_an_experiment_that_was_cut_off_goes_on(workspace: Workspace, server: OpenAIServer):
    """A cancelled run has kept what was answered until then."""
    template = write(workspace, max_examples=30)
    enough = asyncio.Event()

    def slowly(body: Mapping[str, Any]) -> Reply:
        if len(server.requests) >= 20:
            enough.set()
        return Reply(solved(body).text, latency=0.02)

    server.answer_with(slowly)
    task = asyncio.create_task(run(workspace, template))
    await enough.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    asked = len(server.requests)
    server.answer_with(solved)
    result = await run(workspace, template)
    assert sum(arm.cached_calls for arm in result.arms) >= 15
    assert len(server.requests) < asked + 60


async def test_a_model_that_is_down_is_shown_and_not_compared(
    workspace: Workspace, server: OpenAIServer
):
    """The others are; a baseline that is down ends the experiment."""

    def down(body: Mapping[str, Any]) -> Reply:
        return Reply("busy", status=503) if body["model"] == LARGE else solved(body)

    server.answer_with(down)
    result = await run(workspace, write(workspace))
    broken = next(arm for arm in result.arms if arm.model == LARGE)
    assert (broken.failed_calls, broken.compared) == (8, False)
    assert result.contrasts == []
    assert "busy" in report(result, "markdown")
    with pytest.raises(UpstreamError, match="the baseline: 8 of 8 calls failed"):
        await run(workspace, write(workspace, models=[LARGE, SMALL]), models=[])


async def test_a_judge_grades_and_compares_in_both_orders(
    workspace: Workspace, server: OpenAIServer
):
    """It prefers the right answer; one that always says "first" makes ties only."""
    asked: list[Mapping[str, Any]] = []

    def judge(body: Mapping[str, Any]) -> Reply:
        if not body["messages"][0]["content"].startswith("You judge"):
            return solved(body)
        document = json.loads(body["messages"][1]["content"])
        asked.append(document)
        if "answer" in document:
            return Reply('{"score": 8}')
        right = [side for side in ("first", "second") if "unknown" not in str(document[side])]
        return Reply(json.dumps({"better": right[0] if len(right) == 1 else "tie"}))

    server.answer_with(judge)
    rules = {"model": "acme/cicd", "grade": True, "pairwise": True}
    template = write(workspace, judge=rules, max_examples=20, modes={"plain": {}})
    result = await run(workspace, template)
    large = next(arm for arm in result.arms if arm.model == LARGE)
    assert large.scores["judged"] == 0.8
    assert large.scores["preferred"] > 0.5
    orders = [d for d in asked if "first" in d]
    assert len(orders) % 2 == 0
    assert {c.metric for c in result.contrasts} == {"accuracy", "judged", "preferred"}

    def biased(body: Mapping[str, Any]) -> Reply:
        if body["messages"][0]["content"].startswith("You judge"):
            return Reply('{"better": "first", "score": 99}')
        return solved(body)

    server.answer_with(biased)
    result = await run(workspace, template, no_cache=True)
    large = next(arm for arm in result.arms if arm.model == LARGE)
    assert large.scores["preferred"] == 0.5
    assert "judged" not in large.scores


async def test_a_dry_run_asks_nobody_and_says_what_it_would_cost(
    workspace: Workspace, server: OpenAIServer
):
    """Models of our own cost nothing; those nobody lists have an assumed price."""
    found = await door(workspace, dry_run=True)
    assert isinstance(found, PlannedChange)
    assert (found.estimated_cost_usd, found.details["runs"]) == (0.0, 6 * 64)
    found = await door(workspace, dry_run=True, models=["openai/gpt-4o"])
    assert found.estimated_cost_usd == pytest.approx(3 * 64 * 0.01)
    assert "is assumed" in found.summary
    assert not server.requests


async def test_what_costs_more_than_its_budget_is_refused(
    workspace: Workspace, server: OpenAIServer
):
    """And what costs more than ten dollars needs an approval."""
    dear = write(workspace, models=["openai/gpt-4o"], max_examples=None, repetitions=20)
    with pytest.raises(InputError, match=r"may cost \$12\.80, above its budget of \$1\.00"):
        await door(workspace, dear, models=[])
    allowed = write(
        workspace, models=["openai/gpt-4o"], max_examples=None, repetitions=20, budget_usd=20
    )
    with pytest.raises(ApprovalRequired):
        await door(workspace, allowed, models=[])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": []}, "models"),
        ({"models": [SMALL, SMALL]}, "each may stand there once"),
        ({"compare": ["style"]}, "unknown metric 'style'"),
        ({"modes": {"a": {"body": {"messages": []}}}}, "'messages' is set by the experiment"),
        ({"baseline": {"model": SMALL, "mode": "none"}}, "is none of the arms"),
        ({"budget": 3}, "budget"),
        ({"repetitions": 0}, "repetitions"),
    ],
)
async def test_a_wrong_template_is_refused_by_name(
    workspace: Workspace, server: OpenAIServer, changes: dict[str, Any], said: str
):
    """The file and the key are named, and nobody is asked."""
    with pytest.raises(SettingsError, match=said):
        await run(workspace, write(workspace, **changes), models=[])
    assert not server.requests


async def test_a_template_that_is_not_there_names_those_that_are(
    workspace: Workspace, server: OpenAIServer
):
    """By path or by name."""
    with pytest.raises(NotFoundError, match="no experiment template 'nope'") as raised:
        await run(workspace, "nope")
    assert "reasoning_modes" in raised.value.remedy


async def test_examples_of_ones_own_lie_beside_the_template(
    workspace: Workspace, server: OpenAIServer
):
    """A JSONL file, whose ids must differ."""
    rows = [
        {"id": f"q{n}", "inputs": {"task": task}, "outputs": {"answer": "x"}}
        for n, task in enumerate(list(RIDDLES)[:6])
    ]
    workspace.write_rows(rows, "own")
    result = await run(workspace, write(workspace, examples="own.jsonl"))
    assert result.n_examples == 6
    workspace.write_rows([rows[0], rows[0]], "own")
    with pytest.raises(InputError, match="'q0' stands there twice"):
        await run(workspace, write(workspace, examples="own.jsonl"))


async def test_a_broken_cache_is_named(workspace: Workspace, server: OpenAIServer):
    """Its file, and that it may go."""
    path = workspace.state / "cache" / "answers.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database at all, but long enough to look like one" * 20)
    with pytest.raises(StorageError, match=r"answers\.db"):
        await run(workspace, write(workspace))
    path.unlink()
    await run(workspace, write(workspace))
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM answers").fetchone() == (16,)
