"""Which entry a process serves by, since when, and what is still under way."""

from dataclasses import replace

import pytest
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.serving.harness import AGENT, STABLE, Recording, Tables, ask, routing_table, upstream

from agent_orchestrator.domain.routing import RoutingTable, entry_digest
from agent_orchestrator.serving.periods import Periods
from agent_orchestrator.serving.router import Router
from agent_orchestrator.stores.serving import ServedArm, ServedPeriod

ONE = RoutingTable({AGENT: "acme/one", "cicd": "acme/builder"})
TWO = RoutingTable({AGENT: "acme/two", "cicd": "acme/builder"})


def entries(periods: Periods, agent: str = AGENT) -> list[tuple[str, float]]:
    """Return an agent's periods as entry and since."""
    return [(period.entry, period.since) for period in periods.report()[agent]]


def test_a_period_begins_when_an_agents_entry_changes():
    """Another agent's change, or the same table once more, begins none."""
    periods = Periods(ONE, 1.0)
    periods.follow(TWO, 2.0)
    periods.follow(replace(TWO, fallbacks={"default": ("acme/two",)}), 3.0)
    one, two = entry_digest(ONE, AGENT), entry_digest(TWO, AGENT)
    assert entries(periods) == [(one, 1.0), (two, 2.0)]
    assert entries(periods, "cicd") == [(entry_digest(ONE, "cicd"), 1.0)]


def test_the_end_of_the_last_attempt_of_a_past_period_is_news():
    """While the period is present it is none: a report for every request would cost too much."""
    news = []
    periods = Periods(ONE, 1.0)
    periods.on_news = lambda: news.append(1)
    first, second = (periods.present(AGENT).flights("stable") for _ in range(2))
    for _ in range(3):
        first.begin()
    first.end(1.5)
    periods.follow(TWO, 2.0)
    news.clear()
    second.end(2.5)
    assert not news
    second.end(2.75)
    assert news
    past = periods.report()[AGENT][0]
    assert past.arms == (ServedArm("stable", under_way=0, last_end=2.75),)


def test_past_periods_are_kept_while_something_is_under_way():
    """The others are forgotten but for the last few: memory does not grow with the changes."""
    periods = Periods(ONE, 0.0)
    long = periods.present(AGENT).flights("stable")
    long.begin()
    for number in range(1, 20):
        periods.follow((ONE, TWO)[number % 2], float(number))
    assert [since for _, since in entries(periods)] == [0.0, *map(float, range(11, 20))]
    long.end(20.0)
    periods.follow(ONE, 20.0)
    assert 0.0 not in [since for _, since in entries(periods)]


def test_an_agent_that_is_gone_has_no_periods():
    """Nothing is reported of it any more."""
    periods = Periods(ONE, 1.0)
    periods.follow(RoutingTable({"cicd": "acme/builder"}), 2.0)
    assert periods.report().keys() == {"cicd"}
    with pytest.raises(KeyError):
        periods.present(AGENT)


async def test_a_request_counts_in_the_period_in_which_it_came():
    """Also when the split changes while its answer is under way."""
    async with OpenAIServer() as server, upstream() as models:
        tables = Tables(routing_table({STABLE: server.url}))
        router = Router(tables, models, Recording(), clock=lambda: 7.0)

        def switch_and_answer(_body: object) -> Reply:
            tables.current = TWO
            router.follow()
            before, after = router.periods.report()[AGENT]
            assert [arm.under_way for arm in before.arms] == [1]
            assert after == ServedPeriod(entry_digest(TWO, AGENT), 7.0)
            return Reply("hi")

        server.answer_with(switch_and_answer)
        await router.complete(AGENT, ask(), task_id="t", request_id="r")
        before, after = router.periods.report()[AGENT]
        assert before.arms == (ServedArm("stable", under_way=0, last_end=7.0),)
        assert after.arms == ()
