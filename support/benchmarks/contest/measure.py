"""One contestant from its start to its result."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from contest.contestants import Contestant, Place
from contest.driver import CANDIDATE, STABLE, STABLE_SHARE
from contest.processes import DriverProcess, cpu_seconds, driving, free_port, memory_mb, serving

from agent_orchestrator.domain.statistics import srm_p_value

_NS_PER_MS = 1e6

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    rounds: int
    turns: int
    """Direct calls, and calls through, of a round."""
    block: int
    """Calls of one kind in a row, for the CPU time of a round."""
    streams: int
    clients: int
    requests: int
    """Of the load at saturation."""
    step_seconds: float = 3.0
    """Longest time of one step of a round."""
    load_seconds: float | None = None
    """Longest time of the load; None for each contestant's own."""


FULL = Plan(rounds=5, turns=250, block=400, streams=15, clients=32, requests=100_000)
QUICK = Plan(
    rounds=2,
    turns=10,
    block=20,
    streams=3,
    clients=4,
    requests=200,
    step_seconds=1,
    load_seconds=60,
)


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one contestant costs. Times in milliseconds, memory in MiB."""

    direct_ms: Mapping[str, Spread]
    """p50, p95, p99 of the direct calls."""
    added_ms: Mapping[str, Spread]
    """The same quantile of the calls through the contestant, less that of the direct calls."""
    cpu_ms: Spread
    """CPU time of a request: what a server spends, or what a caller's process spends more."""
    first_byte_ms: Spread
    """From the upstream's sending of a stream's first byte to its coming, p50."""
    direct_first_byte_ms: Spread
    per_second: Spread
    """Answers in each second of the load."""
    requests: int
    failed: int
    first_failure: str
    memory_start_mb: float
    memory_end_mb: float
    """After ``requests`` more requests."""
    split: tuple[int, int] | None
    """Requests that the stable and the candidate model had; None for what does not split."""
    split_p_value: float | None
    """Of the asked split (Pearson's chi-square)."""


def spread(values: Sequence[float]) -> Spread:
    """Return median, lowest and highest."""
    return Spread(statistics.median(values), min(values), max(values))


def quantiles(ns: Sequence[int]) -> dict[str, float]:
    """Return p50, p95 and p99 in milliseconds."""
    cuts = statistics.quantiles(ns, n=100, method="inclusive")
    return {name: cuts[at - 1] / _NS_PER_MS for name, at in (("p50", 50), ("p95", 95), ("p99", 99))}


async def measure(contestant: Contestant, plan: Plan, upstream: str, say: Say) -> Result:
    """Start a contestant, measure it, end it. Raises ContestantError."""
    with tempfile.TemporaryDirectory(prefix="chef-bench-") as folder:
        place = Place(upstream=upstream, folder=Path(folder), port=free_port())
        server = contestant.server(place) if contestant.server else None
        async with (
            serving(server, place.folder) as process,
            driving(contestant, place, server) as driver,
        ):
            course = _Course(contestant, plan, driver=driver, server=process, say=say)
            return await course.run(upstream)


class _Course:
    """The steps of one contestant's measurement."""

    def __init__(
        self,
        contestant: Contestant,
        plan: Plan,
        *,
        driver: DriverProcess,
        server: psutil.Process | None,
        say: Say,
    ) -> None:
        self._contestant = contestant
        self._plan = plan
        self._driver = driver
        self._server = server
        self._say = say

    async def run(self, upstream: str) -> Result:
        """Warm up, go through the rounds, then load it."""
        plan, before = self._plan, await _counts(upstream)
        await self._block(through=True)
        rounds = []
        for number in range(plan.rounds):
            rounds.append(await self._round())
            self._say(f"round {number + 1}/{plan.rounds}")
        process = self._server or self._driver.process
        start = memory_mb(process)
        load = await self._driver.ask(
            "saturate",
            through=True,
            clients=plan.clients,
            requests=plan.requests,
            seconds=plan.load_seconds or self._contestant.seconds,
        )
        self._say(f"load of {sum(load['per_second'])} requests in {load['seconds']:.0f} s")
        end = memory_mb(process)
        split = _split(before, await _counts(upstream)) if self._contestant.splits else None
        return Result(
            direct_ms=_over(rounds, "direct"),
            added_ms=_over(rounds, "added"),
            cpu_ms=spread([r["cpu_ms"] for r in rounds]),
            first_byte_ms=spread([r["first_byte_ms"] for r in rounds]),
            direct_first_byte_ms=spread([r["direct_first_byte_ms"] for r in rounds]),
            per_second=_per_second(load),
            requests=sum(load["per_second"]),
            failed=load["failed"],
            first_failure=load["first_failure"],
            memory_start_mb=start,
            memory_end_mb=end,
            split=split,
            split_p_value=split and srm_p_value(split, (STABLE_SHARE, 100 - STABLE_SHARE)),
        )

    async def _round(self) -> dict[str, Any]:
        step = self._plan.step_seconds
        turns = await self._driver.ask("turns", requests=self._plan.turns, seconds=step)
        direct, through = quantiles(turns["direct_ns"]), quantiles(turns["through_ns"])
        direct_cpu = await self._block(through=False)
        cpu = await self._block(through=True)
        streams = await self._driver.ask("streams", requests=self._plan.streams, seconds=step)
        return {
            "direct": direct,
            "added": {name: through[name] - direct[name] for name in direct},
            "cpu_ms": cpu if self._server else cpu - direct_cpu,
            "first_byte_ms": statistics.median(streams["through_ns"]) / _NS_PER_MS,
            "direct_first_byte_ms": statistics.median(streams["direct_ns"]) / _NS_PER_MS,
        }

    async def _block(self, *, through: bool) -> float:
        """Return the CPU time of a request in milliseconds: of the server, else of the driver."""
        before = cpu_seconds(self._server) if self._server else 0.0
        block = await self._driver.ask(
            "block", through=through, requests=self._plan.block, seconds=self._plan.step_seconds
        )
        spent = cpu_seconds(self._server) - before if self._server else block["cpu_seconds"]
        return float(1000 * spent / block["requests"])


async def _counts(upstream: str) -> dict[str, int]:
    url = upstream.removesuffix("/v1") + "/counts"
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        counts: dict[str, int] = await response.json()
        return counts


def _split(before: Mapping[str, int], after: Mapping[str, int]) -> tuple[int, int]:
    stable, candidate = (after.get(m, 0) - before.get(m, 0) for m in (STABLE, CANDIDATE))
    return stable, candidate


def _over(rounds: Sequence[Mapping[str, Any]], key: str) -> dict[str, Spread]:
    return {name: spread([r[key][name] for r in rounds]) for name in rounds[0][key]}


def _per_second(load: Mapping[str, Any]) -> Spread:
    """Over the whole seconds of a load; its mean where it was too short for that."""
    whole = load["per_second"][1:-1]
    return spread(whole or [sum(load["per_second"]) / load["seconds"]])
