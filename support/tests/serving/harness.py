"""What the serving tests share: routing tables to their own upstreams, a gateway on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from tests.doubles.runners import end

from agent_orchestrator.domain.outcomes import Feedback, Outcome
from agent_orchestrator.domain.routing import Arm, Endpoint, Rollout, RoutingTable, Strategy
from agent_orchestrator.errors import ChefError, ModelsYamlError, NotFoundError
from agent_orchestrator.serving.admission import Limits
from agent_orchestrator.serving.breaker import BreakerPolicy
from agent_orchestrator.serving.cache import ResponseCache
from agent_orchestrator.serving.clients import WatchedKeys
from agent_orchestrator.serving.gateway import WatchedTables, create_app, start
from agent_orchestrator.serving.metrics import Measured, Metrics
from agent_orchestrator.serving.outcome_log import OutcomeLog, OutcomeSink
from agent_orchestrator.serving.router import Router
from agent_orchestrator.serving.upstream import Timeouts, Upstream

AGENT = "feature_dev"
STABLE, CANDIDATE, FALLBACK = "team/stable", "team/candidate", "team/fallback"
TOKEN = "let-me-in"
QUICK = Timeouts(connect=1.0, first_byte=0.3, idle=0.3, total=0.5)
"""For upstreams that do not answer in time."""
PATIENT = BreakerPolicy(minimum=10_000)
"""Never opens."""


@dataclass
class Tables:
    """A routing table that a test replaces."""

    current: RoutingTable
    last_error: ModelsYamlError | None = None

    async def watch(self) -> None:
        """Nothing changes by itself."""
        await asyncio.Event().wait()


@dataclass
class MemorySink:
    """Keeps outcomes as the store does: all or none, each once."""

    outcomes: list[Outcome] = field(default_factory=list)
    feedback: list[Feedback] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    fault: Exception | None = None

    def append_many(self, outcomes: Sequence[Outcome]) -> None:
        """Keep outcomes."""
        if self.fault is not None:
            raise self.fault
        known = {(o.request_id, o.attempt) for o in self.outcomes}
        self.batches.append(len(outcomes))
        self.outcomes += [o for o in outcomes if (o.request_id, o.attempt) not in known]

    def add_feedback_many(self, judgements: Sequence[Feedback]) -> list[ChefError | None]:
        """Keep feedback on what is known."""
        if self.fault is not None:
            raise self.fault
        known = {o.request_id for o in self.outcomes}
        self.feedback += [given for given in judgements if given.request_id in known]
        return [
            None if given.request_id in known else NotFoundError(f"No {given.request_id!r}.")
            for given in judgements
        ]


@dataclass
class Recording:
    """Takes outcomes and judgements at once."""

    outcomes: list[Outcome] = field(default_factory=list)
    feedback: list[Feedback] = field(default_factory=list)

    def record(self, outcome: Outcome) -> None:
        """Take an outcome."""
        self.outcomes.append(outcome)

    def record_feedback(self, feedback: Feedback) -> None:
        """Take a judgement."""
        self.feedback.append(feedback)


def routing_table(
    urls: Mapping[str, str], *, weight: int | None = None, fallbacks: tuple[str, ...] = ()
) -> RoutingTable:
    """Return a table that serves AGENT from ``urls`` (model → base URL).

    ``weight``: the candidate's share in a running canary, None without one.
    """
    arms = (
        Arm("stable", STABLE, "v1.0.0", 100 - (weight or 0)),
        Arm("candidate", CANDIDATE, "v1.1.0", weight or 0),
    )
    rollouts = {AGENT: Rollout("ro_1", "canary", arms)} if weight is not None else {}
    return RoutingTable(
        agent_models={AGENT: STABLE},
        models={m: Endpoint(m, "self_hosted", (url,)) for m, url in urls.items()},
        fallbacks={"default": fallbacks},
        rollouts=rollouts,
    )


def several_arms(
    urls: Mapping[str, str],
    arms: Sequence[Arm],
    *,
    strategy: Strategy = "shadow",
    judge: str | None = None,
    fallbacks: tuple[str, ...] = (),
) -> RoutingTable:
    """Return a table whose AGENT has a rollout with these arms; the first is stable."""
    return RoutingTable(
        agent_models={AGENT: arms[0].model},
        models={m: Endpoint(m, "self_hosted", (url,)) for m, url in urls.items()},
        fallbacks={"default": fallbacks},
        rollouts={AGENT: Rollout("ro_1", strategy, tuple(arms), judge=judge)},
    )


async def settled(condition: Callable[[], bool]) -> None:
    """Wait until something that happens off the requests' path has happened."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


@asynccontextmanager
async def upstream(
    *,
    timeouts: Timeouts | None = None,
    socket: Path | None = None,
    keys: Mapping[str, str] | None = None,
) -> AsyncIterator[Upstream]:
    """Enter an Upstream whose OpenRouter is nowhere."""
    made = Upstream(
        secret=(keys or {}).get,
        openrouter_base_url="http://127.0.0.1:9/v1",
        local_socket=socket,
        timeouts=timeouts,
    )
    async with made:
        yield made


@dataclass
class Gateway:
    """A running gateway and what stands behind it."""

    url: str
    tables: Any
    sink: Any
    log: OutcomeLog
    router: Router
    runner: web.AppRunner
    http: aiohttp.ClientSession

    async def chat(self, **changes: Any) -> aiohttp.ClientResponse:
        """Send a chat request; ``headers`` are extra ones, the rest fields of the body."""
        headers = changes.pop("headers", {})
        body = ask(**changes)
        response = await self.http.post("/v1/chat/completions", json=body, headers=headers)
        if body.get("stream") is not True:
            await response.read()
        return response


def ask(**changes: Any) -> dict[str, Any]:
    """Return a chat request's body."""
    messages = [{"role": "user", "content": "Hello"}]
    return {"model": f"agent/{AGENT}", "messages": messages, **changes}


@asynccontextmanager
async def gateway(
    table: RoutingTable | WatchedTables,
    *,
    timeouts: Timeouts | None = None,
    breaker: BreakerPolicy | None = None,
    token: str | None = TOKEN,
    sink: OutcomeSink | None = None,
    cache: ResponseCache | None = None,
    limits: Limits | None = None,
    keys: WatchedKeys | None = None,
) -> AsyncIterator[Gateway]:
    """Serve a table on a free port of loopback."""
    tables = Tables(table) if isinstance(table, RoutingTable) else table
    sink = sink or MemorySink()
    log = OutcomeLog(sink, interval=0.02, patience=1.0)
    async with upstream(timeouts=timeouts) as models:
        metrics = Metrics()
        router = Router(tables, models, Measured(log, metrics), breaker=breaker, cache=cache)
        app = create_app(router, tables, log, token, limits=limits, keys=keys, metrics=metrics)
        runner = await start(app, host="127.0.0.1", port=0, drain_seconds=2.0)
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with aiohttp.ClientSession(url, headers=headers) as http:
                yield Gateway(url, tables, sink, log, router, runner, http)
        finally:
            await end(runner)
