"""Kill what changes the traffic, at random points; see that everything agrees afterwards.

    PYTHONPATH=support .venv/bin/python support/soak/crash.py --runs 500

Two gateways serve; commands deploy, promote, roll back and drill, as ``chef`` does. Each run kills
the command with SIGKILL, sometimes a gateway or the timer as well. Afterwards the timer, or the
next command, must bring registry, models.yaml, the rollout's row and what both gateways really
serve (asked over HTTP) into agreement. Half of the kills come at any time, half are aimed at the
time when the change is written down and not yet done. The same seed gives the same choices; when a
process is hit is up to the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from tests.doubles.fleet import AGENT, MODELS, Fleet
from tests.doubles.fork_server import Process

#: Of all runs: those in which nothing ends by itself, the timer is away, a gateway is killed too.
_UNHARMED, _NO_TIMER, _GATEWAY, _TIMER = 0.1, 0.3, 0.15, 0.15
_AIMED = 0.5
_STRATEGIES = ("canary", "canary_50pct", "immediate", "blue_green", "ab")
#: A change takes this long from its first effect to its last, seconds.
_MIDDLE = 0.025
_USUAL = 0.25


@dataclass(slots=True)
class Tally:
    """What was done, and what came of it."""

    seed: int
    runs: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    """Processes that were killed while they worked."""
    refused: Counter[str] = field(default_factory=Counter)
    """Commands that nobody killed and that did not succeed: what they wanted had been overtaken."""
    in_the_middle: int = 0
    """Kills that left a change written down and not done."""
    recovered: Counter[str] = field(default_factory=Counter)
    """Changes that others finished, or gave up."""
    slowest_agreement_s: float = 0.0
    seconds: float = 0.0


class _Drill:
    """Runs and kills commands of one fleet."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self._fleet = fleet
        self._chance = random.Random(seed)  # noqa: S311 - moments, not secrets
        self._timer_runs = False
        self._usual: dict[str, float] = {}
        self._seen = 0
        """The last entry of the audit log that was counted."""
        self.tally = Tally(seed)

    async def run(self) -> None:
        """Run one command, kill it or not, and see that everything agrees.

        Raises AssertionError with what does not.
        """
        chance, fleet = self._chance, self._fleet
        self._set_timer(runs=chance.random() >= _NO_TIMER)
        command = self._command()
        if chance.random() < _UNHARMED:
            await self._finish(command)
        else:
            await self._kill(command)
        if chance.random() < _GATEWAY:
            gateway = chance.choice(fleet.gateways)
            gateway.kill()
            self.tally.killed["gateway"] += 1
            gateway.start()
            await fleet.ready(gateway)
        if self._timer_runs and chance.random() < _TIMER:
            await asyncio.sleep(chance.uniform(0.0, 0.15))
            self._set_timer(runs=False)
            self.tally.killed["timer"] += 1
        await self._recover()
        agreed_after = await fleet.agreement()
        tally = self.tally
        tally.slowest_agreement_s = max(tally.slowest_agreement_s, agreed_after)
        tally.recovered.update(self._new_recoveries())
        tally.runs += 1

    async def _finish(self, command: Sequence[str]) -> None:
        begun = time.monotonic()
        code = await self._fleet.run(*command)
        assert code in {0, 1, 2}, f"chef {' '.join(command)} ended with {code}"
        self.tally.refused[_name(command)] += code != 0
        self._usual[_name(command)] = time.monotonic() - begun

    async def _kill(self, command: Sequence[str]) -> None:
        """Start the command; kill it at some time from its start to a little after its end."""
        process = self._fleet.start(*command)
        aimed = self._chance.random() < _AIMED
        if aimed:
            await asyncio.to_thread(self._wait_for_intent, process)
            await asyncio.sleep(self._chance.uniform(0.0, _MIDDLE))
        else:
            usual = self._usual.get(_name(command), _USUAL)
            await asyncio.sleep(self._chance.uniform(0.0, 1.2 * usual))
        if process.kill() == -signal.SIGKILL:
            self.tally.killed[_name(command)] += 1
            self.tally.in_the_middle += bool(self._fleet.journal.pending())

    def _wait_for_intent(self, process: Process) -> None:
        """Wait until a change is written down, or the command has ended without one."""
        while not self._fleet.journal.pending() and not process.has_ended():
            time.sleep(0.001)

    async def _recover(self) -> None:
        """Without a timer, let the next command find what was left; then let the timer run."""
        if not self._timer_runs:
            await self._finish(self._command())
            self._set_timer(runs=True)

    def _set_timer(self, *, runs: bool) -> None:
        if runs and not self._timer_runs:
            self._fleet.start_timer()
        elif self._timer_runs and not runs:
            self._fleet.kill_timer()
        self._timer_runs = runs

    def _command(self) -> Sequence[str]:
        """Choose what makes sense as things stand; that may have changed until it runs."""
        chance, fleet = self._chance, self._fleet
        state = fleet.rollouts.running(AGENT)
        kinds: tuple[str, ...]
        if state is None:
            kinds = ("deploy", "deploy", "deploy", "rollback")
        elif state.phase == "running":
            kinds = ("promote", "drill", "drill", "finish", "rollback")
        else:
            kinds = ("drill", "drill", "rollback")
        kind = chance.choice(kinds)
        self.tally.commands[kind] += 1
        if kind == "deploy":
            serving = fleet.yaml.read().agent_models[AGENT]
            model = chance.choice([model for model in MODELS[1:] if model != serving])
            strategy = chance.choice(_STRATEGIES)
            return ("deploy", AGENT, "--model", model, "--strategy", strategy, "--yes", "--json")
        if kind == "drill":
            return ("rollback", AGENT, "--drill", "--yes", "--json")
        if kind == "finish":
            return ("promote", AGENT, "--percent", "100", "--yes", "--json")
        return (kind, AGENT, "--yes", "--json")

    def _new_recoveries(self) -> list[str]:
        entries = [e for e in self._fleet.audit.tail(100) if e.seq > self._seen]
        self._seen = max((entry.seq for entry in entries), default=self._seen)
        return [entry.action for entry in entries if entry.actor == "recovery"]


def _name(command: Sequence[str]) -> str:
    return "drill" if "--drill" in command else command[0]


async def crash(folder: Path, runs: int, seed: int, *, say_every: int = 50) -> Tally:
    """Run and kill commands; return what was done. Raises AssertionError when things disagree."""
    begun = time.monotonic()
    async with Fleet(folder, guard_seconds="1.5") as fleet:
        drill = _Drill(fleet, seed)
        for number in range(1, runs + 1):
            try:
                await drill.run()
            except AssertionError as error:
                error.add_note(f"seed {seed}, run {number}; log:\n{_tail(folder / 'fleet.log')}")
                raise
            if number % say_every == 0:
                print(f"{number} runs, {drill.tally.in_the_middle} in the middle", flush=True)
    drill.tally.seconds = time.monotonic() - begun
    return drill.tally


def _tail(log: Path) -> str:
    return log.read_text()[-4000:]


def main() -> None:
    """Run as the arguments say; print what was done as JSON."""
    parser = argparse.ArgumentParser(description="Kill commands at random points.")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = asyncio.run(crash(Path(folder), arguments.runs, arguments.seed))
    print(json.dumps({item.name: getattr(tally, item.name) for item in fields(tally)}, indent=2))


if __name__ == "__main__":
    main()
