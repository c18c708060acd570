"""Gateways, timer and command line, each a process, with the state in PostgreSQL."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import psutil
import pytest
from tests.doubles.fleet import AGENT, Fleet
from tests.doubles.workspace import eventually
from tests.postgres import PASSWORD

from agent_orchestrator.stores.outcomes import OutcomeStore


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
