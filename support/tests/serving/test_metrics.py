"""What Prometheus reads: counted right, with labels that nobody can multiply."""

from prometheus_client.parser import text_string_to_metric_families
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.serving.harness import AGENT, CANDIDATE, STABLE, Gateway, gateway, routing_table

from agent_orchestrator.serving.breaker import BreakerPolicy

Samples = dict[tuple[str, tuple[str, ...]], float]


async def scrape(running: Gateway) -> Samples:
    """Return every sample by its name and the values of its labels, in the order of their names."""
    response = await running.http.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(await response.text())
    return {(s.name, tuple(s.labels.values())): s.value for f in families for s in f.samples}


async def test_attempts_latencies_and_requests_are_counted():
    """A failed attempt and the one that took over are two attempts of one request."""
    policy = BreakerPolicy(minimum=1, cooldown_seconds=60)
    async with OpenAIServer() as stable, OpenAIServer(Reply(status=500)) as candidate:
        urls = {STABLE: stable.url, CANDIDATE: candidate.url}
        async with gateway(routing_table(urls, weight=100), breaker=policy) as running:
            assert (await running.chat()).headers["X-Chef-Arm"] == "stable"
            assert (await running.chat(model="agent/nobody")).status == 404
            found = await scrape(running)
    attempts = "chef_gateway_attempts_total"
    assert found[attempts, (AGENT, "candidate", "status", "serve")] == 1
    assert found[attempts, (AGENT, "stable", "ok", "serve")] == 1
    assert found["chef_gateway_attempt_seconds_count", (AGENT, "stable")] == 1
    assert found["chef_gateway_breaker_state", (AGENT, "candidate")] == 2
    assert found["chef_gateway_breaker_state", (AGENT, "stable")] == 0
    assert found["chef_gateway_requests_total", ("token", "2xx")] == 1
    assert found["chef_gateway_requests_total", ("token", "4xx")] == 1
    assert found["chef_gateway_in_flight", ()] == 0
    assert found["chef_gateway_retries_total", ()] == 0
    assert found["chef_gateway_outcomes_dropped_total", ()] == 0
    assert found["chef_gateway_feedback_dropped_total", ()] == 0
    assert found["chef_gateway_routing_table_broken", ()] == 0
    assert found["chef_gateway_routing_entry_age_seconds", (AGENT,)] >= 0
    assert found["process_resident_memory_bytes", ()] > 1_000_000


async def test_the_gateways_own_time_is_measured():
    """It is the whole time less the attempt's."""
    async with (
        OpenAIServer(Reply(latency=0.05)) as server,
        gateway(routing_table({STABLE: server.url})) as running,
    ):
        await running.chat()
        found = await scrape(running)
    assert found["chef_gateway_added_seconds_count", ()] == 1
    assert found["chef_gateway_added_seconds_sum", ()] > 0


async def test_strangers_make_no_labels():
    """Unknown agents and paths leave no series behind."""
    async with (
        OpenAIServer() as server,
        gateway(routing_table({STABLE: server.url})) as running,
    ):
        before = set(await scrape(running))
        for number in range(20):
            await running.chat(model=f"agent/{number}")
            await running.http.get(f"/{number}")
        new = set(await scrape(running)) - before
    assert {name.rsplit("_", 1)[0] for name, _ in new} == {"chef_gateway_requests"}
    assert len(new) <= 4
