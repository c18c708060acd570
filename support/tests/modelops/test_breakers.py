"""Closing a breaker by hand."""

import pytest
from tests.modelops.world import AGENT, World

from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import ResetBreaker
from agent_orchestrator.errors import InputError, UnknownAgentError
from agent_orchestrator.stores.health import BreakerReport, ResetOrder


async def test_a_reset_is_ordered_and_recorded(world: World) -> None:
    """Every gateway finds the order; the result says how the breaker stood."""
    await world.deploy()
    report = BreakerReport(AGENT, "candidate", "open", "5 failures in a row")
    world.health.report("gateway-1", [report], world.clock())
    result = await world.run("reset_breaker", ResetBreaker(agent=AGENT))
    assert (result.arm, result.health) == ("candidate", "open")
    assert world.health.orders_after(0) == [ResetOrder(1, AGENT, "candidate")]
    entry = world.audit.tail(1)[0]
    assert (entry.actor, entry.action, entry.detail) == (
        "ada",
        "breaker_reset",
        {"arm": "candidate", "was": "open"},
    )


async def test_without_a_report_the_state_is_unknown(world: World) -> None:
    """No gateway runs: the order waits for one."""
    result = await world.run("reset_breaker", ResetBreaker(agent=AGENT, arm="stable"))
    assert result.health == "unknown"


async def test_a_dry_run_orders_nothing(world: World) -> None:
    """It says which breaker it would be, and that nobody has to approve."""
    request = ResetBreaker(agent=AGENT, arm="stable", dry_run=True)
    planned = await world.run("reset_breaker", request)
    assert planned.summary == "Close the breaker of feature_dev's stable arm."
    assert not planned.approval_needed
    assert world.health.orders_after(0) == []
    assert world.audit.tail(1) == []


async def test_only_arms_that_there_are(world: World) -> None:
    """Without a rollout there is no candidate."""
    with pytest.raises(InputError, match=r"no arm 'candidate'\. Its arms: stable"):
        await world.run("reset_breaker", ResetBreaker(agent=AGENT))
    with pytest.raises(UnknownAgentError):
        await world.run("reset_breaker", ResetBreaker(agent="nobody"))
