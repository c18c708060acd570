"""After promotion: real gateways, a real timer, and a model that goes bad."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.doubles.fleet import AGENT, STABLE_MODEL, Fleet
from tests.doubles.openai_server import Reply

CANDIDATE_MODEL = "acme/one"


async def ask_both(fleet: Fleet, count: int, name: str) -> set[str]:
    """Send tasks through the gateways in turn; return which models answered."""
    gateways = fleet.gateways
    answers = [
        await fleet.ask(gateways[number % len(gateways)], f"{name}-{number}")
        for number in range(count)
    ]
    return {answer.model for answer in answers}


def broken(body: Mapping[str, Any]) -> Reply:
    """Answer as a server whose new model has gone bad."""
    if body["model"] == CANDIDATE_MODEL:
        return Reply("out of memory", status=500)
    return Reply(body["model"])


async def test_a_degradation_after_promotion_rolls_back_in_every_gateway(tmp_path: Path):
    """The old version is kept warm, and serves again without anybody's asking.

    No client notices: what the new version fails to answer, the old one does.
    """
    async with Fleet(tmp_path, drill="false") as fleet:
        fleet.start_timer()
        version = ("--version", "v1.0.0", "--strategy", "canary_50pct")
        assert await fleet.run("deploy", AGENT, *version, "--yes") == 0
        await fleet.agreement()
        assert await ask_both(fleet, 80, "split") == {STABLE_MODEL, CANDIDATE_MODEL}
        assert await fleet.run("promote", AGENT, "--percent", "100", "--yes") == 0
        await fleet.agreement()
        assert await ask_both(fleet, 20, "promoted") == {CANDIDATE_MODEL}
        assert fleet.rollouts.running(AGENT).phase == "guard"

        fleet.models.answer_with(broken)
        for number in range(600):
            assert await ask_both(fleet, 10, f"broken-{number}") == {STABLE_MODEL}
            if fleet.rollouts.running(AGENT) is None:
                break
            await asyncio.sleep(0.1)  # until the outcomes are written and the timer has looked

        asked_before = len(fleet.models.requests)
        await fleet.agreement()
        state = fleet.rollouts.latest(AGENT)
        assert state.phase == "rolled_back"
        assert state.reason.startswith("error: 0.")
        assert fleet.rollouts.decisions(state.id)[-1].actor == "timer"
        assert fleet.yaml.read().agent_models[AGENT] == STABLE_MODEL
        new = fleet.models.requests[asked_before:]
        assert {request.body["model"] for request in new[-20:]} == {STABLE_MODEL}
