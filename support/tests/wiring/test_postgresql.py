"""Gateways, timer and command line, each a process, with the state in PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

import aiohttp
import psutil
import pytest
from tests.doubles.fleet import AGENT, Fleet
from tests.doubles.splits import pair
from tests.doubles.workspace import Workspace, eventually
from tests.postgres import PASSWORD, PostgresServer

from agent_orchestrator.domain.rollout import RolloutPolicy, RolloutState
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.stores.rollouts import RolloutStore
from agent_orchestrator.wiring import timer_process

UNKNOWN_TO_MODELS_YAML = RolloutState(
    id="ro_1",
    agent=AGENT,
    strategy="canary",
    policy=RolloutPolicy(),
    arms=pair(stable=("deepseek/deepseek-chat", None), candidate=("acme/new", None)),
    started_at=1.0,
    step_started_at=1.0,
)


def command_lines() -> str:
    """Return how every process of this machine was started."""
    said = []
    for process in psutil.process_iter():
        try:
            said += process.cmdline()
        except psutil.Error:
            continue
    return " ".join(said)


async def judge(fleet: Fleet, answered_by: int, judged_at: int) -> int:
    """Ask one gateway and tell another one at once how the answer was; return the status."""
    body = {"model": f"agent/{AGENT}", "messages": [{"role": "user", "content": "Who?"}]}
    async with aiohttp.ClientSession() as http:
        url = fleet.gateways[answered_by].url
        async with http.post(f"{url}/v1/chat/completions", json=body) as answer:
            feedback = {"request_id": answer.headers["X-Request-Id"], "thumbs": "up"}
        url = fleet.gateways[judged_at].url
        async with http.post(f"{url}/v1/feedback", json=feedback) as response:
            return response.status


@pytest.mark.slow
async def test_the_timer_goes_on_after_the_server_was_away(
    tmp_path: Path, postgres: PostgresServer, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A lease that is lost with its connection is taken again, and the rollouts are watched on."""
    caplog.set_level(logging.INFO)
    variables = {"CHEF_DATABASE_URL": postgres_url, "CHEF_TIMER_SECONDS": "0.05"}
    settings = Workspace(tmp_path, variables).settings()
    database = Database(postgres_url)
    rollouts = RolloutStore(database)
    assert rollouts.open() == []
    stop = threading.Event()
    timer = threading.Thread(target=timer_process.run, args=(settings, stop))
    timer.start()
    try:
        await eventually(lambda: caplog.text.count("The timer ticks") == 1)
        await asyncio.to_thread(postgres.cut_off, postgres_url)
        await eventually(lambda: caplog.text.count("The timer ticks") == 2)
        assert "does not answer" in caplog.text
        rollouts.save(UNKNOWN_TO_MODELS_YAML, 1.0)
        await eventually(lambda: rollouts.get("ro_1").phase == "rolled_back")
    finally:
        stop.set()
        await asyncio.to_thread(timer.join)
    database.close()


@pytest.mark.slow
async def test_an_installation_works_with_its_state_on_a_server(
    tmp_path: Path, postgres_url: str
) -> None:
    """Deploy, serve, judge, roll back; the timer watches; nobody shows the password."""
    variables = {"CHEF_DATABASE_URL": postgres_url, "CHEF_LOG_LEVEL": "DEBUG"}
    async with Fleet(tmp_path, variables=variables) as fleet:
        fleet.start_timer()
        deploy = ("deploy", AGENT, "--version", "v1.0.0", "--strategy", "canary", "--yes")
        assert await fleet.run(*deploy) == 0
        await fleet.agreement()
        said = await asyncio.gather(*(judge(fleet, n % 2, (n // 2) % 2) for n in range(40)))
        assert set(said) == {200}
        rollout = fleet.rollouts.latest(AGENT)
        outcomes = OutcomeStore(fleet.database)
        feedback = await asyncio.to_thread(outcomes.feedback_after, rollout.id, 0, 1000)
        assert len(feedback) == 40
        served = await eventually(lambda: outcomes.arm_counts(rollout.id))
        assert sum(arm.requests for arm in served.values()) >= 40
        assert PASSWORD not in command_lines()
        assert await fleet.run("rollback", AGENT, "--yes") == 0
        await fleet.agreement()
        assert fleet.rollouts.latest(AGENT).phase == "rolled_back"
        log = (tmp_path / "fleet.log").read_text()
        assert "ticks every" in log
        assert PASSWORD not in log
