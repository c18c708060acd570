"""How the servers of one model share its calls, and what retries may cost."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from agent_orchestrator.serving.balancing import BalancePolicy, Pool, Replica, RetryBudget

POLICY = BalancePolicy(failures=2, first_pause=1.0, longest_pause=4.0)


class Servers:
    """A pool and its clock."""

    def __init__(self, count: int, policy: BalancePolicy = POLICY) -> None:
        self.now = 100.0
        urls = [URL(f"http://server{n}/v1") for n in range(count)]
        self.pool = Pool(urls, policy, lambda: self.now)

    def call(self) -> Replica:
        """Begin a call."""
        replica = self.pool.pick()
        assert replica is not None
        replica.begin()
        return replica


def test_the_least_busy_server_is_next_and_equals_take_turns():
    """Four calls under way on three servers: none has three."""
    servers = Servers(3)
    under_way = [servers.call() for _ in range(4)]
    assert sorted(r.outstanding for r in servers.pool.replicas) == [1, 1, 2]
    under_way[0].went_well()
    under_way[1].went_well()
    idle = [r for r in servers.pool.replicas if not r.outstanding]
    assert idle
    assert servers.pool.pick() in idle


def test_a_server_that_fails_in_a_row_is_passed_over_and_tried_again():
    """Two failures: out for a second, then one call at a time; a failure doubles the pause."""
    servers = Servers(2)
    bad, good = servers.pool.replicas
    for _ in range(2):
        bad.begin()
        bad.failed()
    assert {servers.pool.pick() for _ in range(6)} == {good}
    servers.now += 1
    good.begin()
    assert servers.pool.pick() is bad
    bad.begin()
    assert servers.pool.pick() is good
    bad.failed()
    servers.now += 1.5
    assert servers.pool.pick() is good
    servers.now += 0.5
    assert servers.pool.pick() is bad
    bad.begin()
    bad.went_well()
    assert {servers.pool.pick() for _ in range(4)} == {bad}


def test_a_refused_connection_is_enough_and_a_call_that_was_given_up_is_nothing():
    """Nobody is there: no second try is needed to know it."""
    servers = Servers(2)
    one, other = servers.pool.replicas
    one.begin()
    one.failed(refused=True)
    other.begin()
    other.let_go()
    assert {servers.pool.pick() for _ in range(4)} == {other}


def test_with_all_servers_out_the_one_that_comes_back_first_is_tried():
    """Better than nobody."""
    servers = Servers(2)
    for replica in servers.pool.replicas:
        replica.begin()
        replica.failed(refused=True)
        servers.now += 0.1
    assert servers.pool.pick() is servers.pool.replicas[0]
    assert servers.pool.pick(servers.pool.replicas) is None


def test_a_single_server_is_never_passed_over():
    """Whether its arm is kept out is the breaker's business."""
    servers = Servers(1)
    for _ in range(5):
        servers.call().failed(refused=True)
    assert servers.pool.pick() is servers.pool.replicas[0]
    assert servers.pool.pick(servers.pool.replicas) is None


@given(st.lists(st.booleans(), max_size=400))
def test_retries_stay_within_their_share(order: list[bool]):
    """However requests and retries come: at most the reserve and a fifth of the requests."""
    budget = RetryBudget(BalancePolicy(reserve=3), lambda: 5.0)
    requests = granted = 0
    for is_request in order:
        if is_request:
            requests += 1
            budget.request()
        else:
            granted += budget.spend()
        assert granted <= 3 + 0.2 * requests + 1e-9


def test_the_reserve_comes_back_with_time_and_savings_are_bounded():
    """A quiet service may retry; a busy one saves no endless credit."""
    now = [0.0]
    budget = RetryBudget(replace(POLICY, reserve=2, most_saved=5), lambda: now[0])
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    now[0] = 1.0
    assert [budget.spend() for _ in range(2)] == [True, False]
    for _ in range(1000):
        budget.request()
    assert sum(budget.spend() for _ in range(20)) == 5
