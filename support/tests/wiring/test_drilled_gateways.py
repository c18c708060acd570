"""Rollback drills of gateways that are at work, as separate processes."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.fleet import AGENT, Fleet
from tests.doubles.openai_server import Reply
from tests.doubles.workspace import eventually

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import DrillReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import (
    RolloutReport,
    RolloutStatusRequest,
)
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.wiring.agent_models import open_agent_models
from agent_orchestrator.wiring.embedded import compose
from agent_orchestrator.wiring.processes import serving_now


async def last_drill(fleet: Fleet) -> DrillReport:
    """Return the report of the last drill, as ``chef rollout`` shows it."""
    coordinator = compose(fleet.workspace.settings()).coordinator
    request = RolloutStatusRequest(agent=AGENT)
    report = await coordinator.run("rollout_status", request, Caller("ada", "cli", "admin"))
    assert isinstance(report, RolloutReport)
    return report.drilled


async def test_a_deployment_and_a_command_drill_every_gateway(tmp_path: Path):
    """Each says when it served without the split; answers under way come to their end."""
    async with Fleet(tmp_path) as fleet:
        names = sorted(gateway.process for gateway in fleet.gateways)
        deploy = ("deploy", AGENT, "--version", "v1.0.0", "--strategy", "immediate", "--yes")
        assert await fleet.run(*deploy) == 0
        drill = await last_drill(fleet)
        assert (drill.verdict, [p.process for p in drill.processes]) == (Verdict.PASS, names)
        before = fleet.yaml.path.read_bytes()

        old, begun = fleet.board.of(AGENT, time.time())[0].periods[-1].entry, time.time()
        gone = asyncio.Event()

        def held_back(body: Mapping[str, Any]) -> Reply:
            """Answer as the candidate when every gateway serves without it."""
            return Reply(body["model"], held=gone if body["model"] == "acme/one" else None)

        def serve_without() -> bool:
            reports = {r.process: r.periods for r in fleet.board.of(AGENT, time.time())}
            return all(
                any(p.entry != old and p.since >= begun for p in reports.get(name, ()))
                for name in names
            )

        fleet.models.answer_with(held_back)
        asked = len(fleet.models.requests)
        answers = [
            asyncio.create_task(fleet.ask(gateway, f"task-{number}"))
            for number in range(3)
            for gateway in fleet.gateways
        ]
        await eventually(lambda: len(fleet.models.requests) == asked + len(answers))
        drilling = asyncio.create_task(fleet.run("rollback", AGENT, "--drill", "--yes"))
        await eventually(serve_without)
        gone.set()
        assert await drilling == 0
        drill = await last_drill(fleet)
        assert [p.process for p in drill.processes] == names
        assert all(p.last_answer_s is not None for p in drill.processes)
        assert {(await answer).model for answer in answers} == {"acme/one"}
        assert fleet.yaml.path.read_bytes() == before
        await fleet.agreement()


@pytest.mark.slow
async def test_a_gateway_that_hangs_fails_the_drill_by_name(tmp_path: Path):
    """The command says which one, ends with 1, and the split is back."""
    async with Fleet(tmp_path, drill="false") as fleet:
        assert await fleet.run("deploy", AGENT, "--version", "v1.0.0", "--yes") == 0
        await fleet.agreement()
        hanging = fleet.gateways[0]
        hanging.pause()
        assert await fleet.run("rollback", AGENT, "--drill", "--yes") == 1
        hanging.go_on()
        drill = await last_drill(fleet)
        assert drill.verdict is Verdict.FAIL
        assert hanging.process in drill.message
        await fleet.agreement()


async def test_a_drill_waits_for_the_process_that_runs_agents_too(tmp_path: Path):
    """It has a router of its own, so a rollback must be effective there as well."""
    async with Fleet(tmp_path, gateways=1) as fleet:
        settings = fleet.workspace.settings()
        async with open_agent_models(settings, fleet.database):
            [gateway, agents] = serving_now(settings)
            await eventually(lambda: len(fleet.board.of(AGENT, time.time())) == 2)
            deploy = ("deploy", AGENT, "--version", "v1.0.0", "--strategy", "immediate", "--yes")
            assert await fleet.run(*deploy) == 0
            drill = await last_drill(fleet)
    assert drill.verdict is Verdict.PASS
    assert {p.process for p in drill.processes} == {gateway, agents}
