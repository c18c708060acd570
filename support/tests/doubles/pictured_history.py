"""What happened in an installation before one looks at it: made by its own use cases and stores."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.doubles.clock import ago
from tests.doubles.openai_server import Reply
from tests.doubles.pictured_rollouts import ADA, HOUR, OLGA, PLANS, do, play
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import MonitorTrainingJob
from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import build_request
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.domain.jobs import TERMINAL
from agent_orchestrator.errors import ApprovalRequired
from agent_orchestrator.wiring.embedded import Embedded, compose

HOSTILE: Final = (
    "<img src=x onerror=\"document.title='pwned'\"><script>alert(1)</script>",
    "**bold** [click](javascript:alert(1)) `x` # heading\n| a | b |",
    "\u202eevil\u202c שלום, עולם — مرحبا",
    "A" * 300 + " and so on, without a space: " + "w" * 3000,
)
"""What nobody should be able to do to a page by what they call things or have a model say."""

SERVED: Final = {
    "supervisor": 0.69,
    "feature_dev": 0.71,
    "code_review": 0.64,
    "cicd": 0.8,
    "documentation": 0.58,
    "infrastructure": 0.77,
}
"""The agents, and how well their first models do."""
GENERATIONS: Final = ("-v2", "-v3")
_STEPS: Final = 240
_BASE: Final = "local/tiny-code"
_VENDORS: Final = "vendor/large"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Ids of what there is to look at."""

    rollout_id: str
    rolled_back_id: str
    challengers_id: str
    ensemble_id: str
    shadow_id: str
    trained_id: str
    running_id: str
    failed_id: str
    evaluation_id: str
    conversion_id: str
    approvals: tuple[str, ...]
    """They wait."""


def answer(body: Mapping[str, Any]) -> Reply:
    """Answer as the model that is asked would: one knows more defects than the other."""
    question = str(body["messages"][-1]["content"])
    found = re.search(r"number (\d+)", question)
    number = int(found[1]) if found else 0
    if "hostile" in question:
        return Reply(HOSTILE[number % len(HOSTILE)])
    right = ("bare-except", "clean", "mutable-default")[number % 3]
    knows = number % 10 < (9 if str(body["model"]).endswith("-v2") else 6)
    return Reply(right if knows else "clean")


async def make_history(workspace: Workspace, models: str) -> History:
    """Fill an installation whose models answer at a URL. Takes seconds."""
    _furnish(workspace, models)
    system = compose(workspace.settings())
    with ago(120 * HOUR):
        _register(system)
    for agent, name in (("code_review", "reviews"), ("documentation", "pages")):
        await do(system, "build_dataset", agent=agent, source=_examples(workspace, agent, name))
    trained, failed = await _trainings(workspace, system)
    evaluation = await _finished(
        system,
        await do(
            system,
            "evaluate_model_vs_baseline",
            agent="code_review",
            candidate="acme/code_review-v2",
            baseline="acme/code_review",
            dataset="reviews",
            offline=True,
        ),
    )
    conversion = await do(
        system, "convert_model_to_gguf", agent="code_review", model=_trained_model(system)
    )
    conversion = await _finished(system, conversion)
    rollouts = {name: await play(system, plan) for name, plan in PLANS.items()}
    workspace.scenario(steps=5000, hurried=3000, seconds=2.0, losses=list(_losses(5000, seed=2)))
    running = await do(
        system,
        "train_subagent_model",
        agent="documentation",
        dataset="pages",
        base_model=_BASE,
    )
    return History(
        **rollouts,
        trained_id=trained,
        running_id=running["job_id"],
        failed_id=failed,
        evaluation_id=evaluation,
        conversion_id=conversion,
        approvals=tuple([one async for one in _pending(system)]),
    )


# -- the world -------------------------------------------------------------------------------------


def _furnish(workspace: Workspace, models: str) -> None:
    workspace.serve_elsewhere(**dict.fromkeys(SERVED, models))
    with workspace.models_yaml.open("a", encoding="utf-8") as file:
        for model in (f"acme/{agent}{after}" for agent in SERVED for after in GENERATIONS):
            file.write(f'  {model}: {{provider: self_hosted, endpoints: ["{models}"]}}\n')
        file.write(f"  {_VENDORS}: {{provider: openrouter}}\n")
    workspace.add_artifact(_BASE)
    llama_cpp = workspace.folder / "llama.cpp"
    llama_cpp.mkdir()
    (llama_cpp / "ready").touch()


def _register(system: Embedded) -> None:
    registry = system.registry
    for agent, score in SERVED.items():
        first = registry.add_model_version(
            agent,
            model_id=f"acme/{agent}",
            trained_by="grace",
            eval_scores={"accuracy": score, "avg_latency_ms": 840.0, "n_examples": 120},
            changelog="As it came from the vendor.",
        )
        registry.add_model_version(
            agent,
            model_id=f"acme/{agent}-v2",
            parent_version=first.version,
            trained_by="ada",
            training_config={"base_model": f"acme/{agent}", "num_epochs": 3, "lora_rank": 32},
            eval_scores={
                "accuracy": score + 0.09,
                "avg_latency_ms": 790.0,
                "baseline_improvement_pct": 100 * 0.09 / score,
                "n_examples": 120,
                "recommendation": "deploy_canary",
            },
            tags=("reviewed",),
            changelog="Learned from the reviews of October.",
        )
        registry.set_current_model(agent, first.version)
    registry.add_model_version(
        "documentation",
        model_id="acme/documentation-v3",
        parent_version="v1.1.0",
        trained_by=HOSTILE[0][:60],
        changelog=HOSTILE[0],
        notes="\n".join(HOSTILE),
        tags=("<b>tag</b>",),
    )


def _examples(workspace: Workspace, agent: str, name: str) -> str:
    rows = [
        {
            "inputs": {"task": f"Name the defect in function number {number}{_hostile(number)}"},
            "outputs": {"answer": ("bare-except", "clean", "mutable-default")[number % 3]},
            "metadata": {"agent": agent, "success": True, "group": f"f{number}"},
        }
        for number in range(240)
    ]
    return str(workspace.write_rows(rows, name))


def _hostile(number: int) -> str:
    return f", hostile: {HOSTILE[number % len(HOSTILE)][:200]}" if number % 12 == 0 else "."


# -- what was done ---------------------------------------------------------------------------------


async def _finished(system: Embedded, started: Mapping[str, Any]) -> str:
    job_id = str(started["job_id"])
    request = MonitorTrainingJob(job_id=job_id)
    await eventually(lambda: system.job_desk.report(request).status in TERMINAL)
    return job_id


async def _trainings(workspace: Workspace, system: Embedded) -> tuple[str, str]:
    train = {"agent": "code_review", "dataset": "reviews", "base_model": _BASE}
    workspace.scenario(steps=_STEPS, seconds=0.005, losses=list(_losses(_STEPS, seed=1)))
    trained = await _finished(system, await do(system, "train_subagent_model", **train))
    failure = {
        "kind": "out_of_memory",
        "message": "The GPU ran out of memory at step 12.",
        "remedy": "Halve batch_size.",
    }
    workspace.scenario(steps=12, failure=failure, losses=list(_losses(12, seed=3)))
    more: Mapping[str, Any] = {**train, "overrides": {"batch_size": 64}}
    failing = await do(system, "train_subagent_model", **more)
    failed = await _finished(system, failing)
    workspace.scenario()
    return trained, failed


def _losses(steps: int, *, seed: int) -> Iterator[float]:
    noise = random.Random(seed)  # noqa: S311 - the same one every time
    for step in range(steps):
        yield round(0.34 + 1.9 * math.exp(-6 * step / steps) + noise.gauss(0, 0.04), 4)


def _trained_model(system: Embedded) -> str:
    return system.registry.list_versions("code_review")[0].model_id


async def _pending(system: Embedded) -> AsyncIterator[str]:
    """Ask for what waits: a price, a change of what serves, and one that names itself badly."""
    asked: tuple[tuple[Caller, UseCaseName, Mapping[str, Any]], ...] = (
        (
            OLGA,
            "evaluate_model_vs_baseline",
            {
                "agent": "code_review",
                "candidate": _VENDORS,
                "dataset": "reviews",
                "repetitions": 40,
                "offline": True,
            },
        ),
        (
            OLGA,
            "deploy_model_to_agent",
            {
                "agent": "documentation",
                "model": "acme/documentation-v2",
                "override_reason": HOSTILE[0],
            },
        ),
        (ADA, "promote_canary", {"agent": "feature_dev", "percent": 80}),
    )
    for caller, use_case, values in asked:
        request = build_request(use_case, values)
        try:
            await system.coordinator.run(use_case, request, caller)
        except ApprovalRequired as needed:
            yield needed.approval_id


def say(history: History) -> str:
    """Return it as JSON."""
    return json.dumps({name: getattr(history, name) for name in History.__slots__})
