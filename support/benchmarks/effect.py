"""How long a change of what serves takes to be effective in every process that serves.

    PYTHONPATH=support .venv/bin/python support/benchmarks/effect.py [--runs 50]

Two gateways, real processes, answer a light load. Weight changes, promotions and rollbacks (out of
a running rollout, and after promotion) are asked for in two ways: as a call of the use case in a
process that is up already, and as a ``chef`` command, from before its interpreter starts. For each
gateway three moments are taken, from the command on:

- in effect: when it took the new table, as it says on the serving board;
- first new: when the first answer had come of a task that the change moves, by its new arm;
- last old: when the last answer of such a task by its old arm had come.

Every gateway of every change counts by itself. The goal is 1 s for the worst of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final

from tests.doubles.fleet import AGENT, MODELS, Fleet, Gateway

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.coordinator import Coordinator
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Request
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    DeployModelToAgent,
    PromoteCanary,
    RollbackDeployment,
)
from agent_orchestrator.domain.rollout import FULL
from agent_orchestrator.domain.routing import RoutingTable, choose_arm, entry_digest
from agent_orchestrator.domain.use_cases import UseCase
from agent_orchestrator.errors import ApprovalRequired
from agent_orchestrator.wiring.embedded import compose

RESULTS: Final = Path(__file__).resolve().parent / "results" / "effect.json"
GOAL_SECONDS: Final = 1.0
_ADA: Final = Caller("ada", "benchmark", "admin")
#: Pause of a client between two requests, seconds; one client a gateway.
_PAUSE: Final = 0.004


@dataclass(frozen=True, slots=True)
class Change:
    """One kind of change, as a use case and as a command."""

    name: str
    use_case: UseCase
    request: Request
    arguments: tuple[str, ...]
    weight: int
    """The candidate's share afterwards, percent."""


WEIGHT: Final = Change(
    "weight 20 → 50",
    "promote_canary",
    PromoteCanary(agent=AGENT, percent=50),
    ("promote", AGENT, "--percent", "50"),
    weight=50,
)
PROMOTION: Final = Change(
    "promotion",
    "promote_canary",
    PromoteCanary(agent=AGENT, percent=100),
    ("promote", AGENT, "--percent", "100"),
    weight=FULL,
)
ROLLBACK: Final = Change(
    "rollback",
    "rollback_deployment",
    RollbackDeployment(agent=AGENT),
    ("rollback", AGENT),
    weight=0,
)
ROLLBACK_AFTER: Final = replace(ROLLBACK, name="rollback after promotion")


@dataclass(frozen=True, slots=True)
class Effect:
    """What one change took in one gateway, seconds from the command."""

    way: str
    change: str
    in_effect: float
    first_new: float
    last_old: float


class Bench:
    """Makes changes and watches the gateways."""

    def __init__(self, fleet: Fleet, coordinator: Coordinator) -> None:
        self._fleet = fleet
        self._coordinator = coordinator
        self.effects: list[Effect] = []

    async def cycle(self, way: str) -> None:
        """Make every kind of change once."""
        await self._deploy()
        for change in (WEIGHT, PROMOTION, ROLLBACK_AFTER):
            await self._measure(way, change)
        await self._deploy()
        await self._measure(way, ROLLBACK)

    async def _deploy(self) -> None:
        request = DeployModelToAgent(agent=AGENT, model=MODELS[1], policy={"drill": False})
        await self._ask("deploy_model_to_agent", request)
        await self._fleet.agreement()

    async def _measure(self, way: str, change: Change) -> None:
        """Make one change under load; take the moments of each gateway."""
        before = self._fleet.yaml.read()
        watches = {gateway: _Watch(gateway) for gateway in self._fleet.gateways}
        task = _moved_task(before, change.weight)
        async with self._load(watches.values(), task):
            if way == "call":
                asked = time.time()
                await self._ask(change.use_case, change.request)
            else:
                asked = await self._command(change)
            entry = entry_digest(self._fleet.yaml.read(), AGENT)
            old = watches[self._fleet.gateways[0]].first_model
            for watch in watches.values():
                await watch.moved.wait()
        for gateway, watch in watches.items():
            since = await self._since(gateway, entry, asked)
            first_new, last_old = watch.moments(old, asked)
            self.effects.append(Effect(way, change.name, since - asked, first_new, last_old))
        await self._fleet.agreement()

    async def _ask(self, use_case: UseCase, request: Request) -> None:
        """Call a use case of this process, approved."""
        try:
            await self._coordinator.run(use_case, request, _ADA)
        except ApprovalRequired as needed:
            approval = needed.approval_id
            await self._coordinator.answer(approval, _ADA, approve=True)
            await self._coordinator.resume(approval, _ADA)

    async def _command(self, change: Change) -> float:
        """Run ``chef`` as a shell does; return when it was started."""
        asked = time.time()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agent_orchestrator", *change.arguments, "--yes", "--json"),
            env=self._fleet.workspace.variables,
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await process.wait() == 0, f"chef {' '.join(change.arguments)} failed"
        return asked

    @asynccontextmanager
    async def _load(self, watches: Collection[_Watch], task: str) -> AsyncIterator[None]:
        """Ask every gateway all the time, in the name of a task that the change moves."""
        clients = [asyncio.create_task(watch.follow(self._fleet, task)) for watch in watches]
        for watch in watches:
            await watch.started.wait()
        yield
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _since(self, gateway: Gateway, entry: str, asked: float) -> float:
        """Return when a gateway took an entry, from the board."""
        while True:
            for report in await asyncio.to_thread(self._fleet.board.of, AGENT, time.time()):
                if report.process == gateway.process:
                    for period in report.periods:
                        if period.entry == entry and period.since >= asked:
                            return period.since
            await asyncio.sleep(0.01)


class _Watch:
    """What one gateway answers, as it comes."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.started = asyncio.Event()
        self.moved = asyncio.Event()
        """Another model answers than at first."""
        self.answers: list[tuple[float, str]] = []
        """When an answer had come, and by which model."""

    async def follow(self, fleet: Fleet, task: str) -> None:
        while True:
            answer = await fleet.ask(self.gateway, task)
            self.answers.append((time.time(), answer.model))
            self.started.set()
            if answer.model != self.first_model:
                self.moved.set()
            await asyncio.sleep(_PAUSE)

    @property
    def first_model(self) -> str:
        return self.answers[0][1]

    def moments(self, old: str, asked: float) -> tuple[float, float]:
        """Return when the first answer of the new arm and the last of the old one had come."""
        first_new = next(at for at, model in self.answers if model != old)
        last_old = max(at for at, model in self.answers if model == old)
        return first_new - asked, last_old - asked


def _moved_task(table: RoutingTable, candidate_weight: int) -> str:
    """Return a task that another arm has once the candidate's weight is this."""
    rollout = table.rollouts[AGENT]
    stable, candidate = rollout.arms
    after = (
        replace(stable, weight=FULL - candidate_weight),
        replace(candidate, weight=candidate_weight),
    )
    tasks = (f"task-{number}" for number in count())
    return next(
        task
        for task in tasks
        if choose_arm(rollout.arms, task, rollout.id).name
        != choose_arm(after, task, rollout.id).name
    )


def summary(effects: Sequence[Effect]) -> list[dict[str, object]]:
    """Return a row for each way and change: median and worst of each moment, seconds."""
    groups: dict[tuple[str, str], list[Effect]] = defaultdict(list)
    for effect in effects:
        groups[effect.way, effect.change].append(effect)
    rows = []
    for (way, change), group in groups.items():
        moments = {
            name: [getattr(effect, name) for effect in group]
            for name in ("in_effect", "first_new", "last_old")
        }
        values = {
            f"{name}_{kind}": round(figure(seconds), 4)
            for name, seconds in moments.items()
            for kind, figure in (("median", statistics.median), ("worst", max))
        }
        rows.append({"way": way, "change": change, "n": len(group), **values})
    return rows


def show(rows: Sequence[Mapping[str, object]]) -> None:
    """Print the table."""
    columns = ("in_effect", "first_new", "last_old")
    head = "".join(f"{name.replace('_', ' '):>20}" for name in columns)
    print(f"{'asked by':10}{'change':26}{'n':>5}{head}   (median / worst, ms)")
    for row in rows:
        cells = "".join(
            f"{1000 * float(str(row[f'{name}_median'])):>12.0f} /{1000 * worst:>6.0f}"
            for name in columns
            for worst in [float(str(row[f"{name}_worst"]))]
        )
        print(f"{row['way']:10}{row['change']:26}{row['n']:>5}{cells}")


async def measure(folder: Path, runs: int) -> list[Effect]:
    """Make ``runs`` changes of each kind, each way."""
    async with Fleet(folder) as fleet:
        fleet.start_timer()
        bench = Bench(fleet, compose(fleet.workspace.settings()).coordinator)
        for number in range(runs):
            for way in ("call", "command"):
                await bench.cycle(way)
            if number % 10 == 9:
                print(f"{number + 1} of {runs}", file=sys.stderr, flush=True)
        return bench.effects


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description="Time from a command to its effect.")
    parser.add_argument("--runs", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        effects = asyncio.run(measure(Path(folder), arguments.runs))
    rows = summary(effects)
    show(rows)
    machine = {
        "cpus": os.cpu_count(),
        "load_average": round(os.getloadavg()[1], 1),
        "python": platform.python_version(),
    }
    document = {"goal_seconds": GOAL_SECONDS, "gateways": 2, "machine": machine, "rows": rows}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
