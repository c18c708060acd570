"""Programs of several processes that deploy: racing for one approval, racing to deploy, killed.

``answer|resume FOLDER NOW APPROVAL N``, ``deploy FOLDER NOW N``, ``killed FOLDER KILLS SEED``.
Children are forked after the imports, so that one costs milliseconds and is killed while it works,
not while it starts.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.modelops.world import ADA, AGENT, BOB, STABLE_MODEL, Clock, World

from agent_orchestrator.errors import ChefError

#: A program without news for so long hangs; on a busy machine a race takes seconds.
_SECONDS = 240
SUPPORT = Path(__file__).resolve().parents[2]


def run_deployers(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one of the programs of this file; fail with what it said, or with where it hangs."""
    done = subprocess.run(
        [sys.executable, __file__, program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{SUPPORT.parent}:{SUPPORT}"},
    )
    assert done.returncode == 0, done.stderr
    return done


def _watch() -> None:
    """Let this process end with its stacks on stderr when it takes far too long: from now on."""
    faulthandler.dump_traceback_later(_SECONDS, exit=True)


def race(folder: Path, now: float, count: int, act: Callable[[World], Awaitable[object]]) -> None:
    """Let ``count`` processes act at once; print what became of each as a JSON list."""
    gate_read, gate_write = os.pipe()
    results = [_start(folder, now, gate_read, gate_write, act) for _ in range(count)]
    os.close(gate_read)
    time.sleep(0.3)  # until all wait at the gate; if not, the race is less of one
    os.close(gate_write)
    said = []
    for pid, result in results:
        with os.fdopen(result) as stream:
            said.append(stream.read())
        os.waitpid(pid, 0)
    print(json.dumps(said))


def _start(
    folder: Path,
    now: float,
    gate_read: int,
    gate_write: int,
    act: Callable[[World], Awaitable[object]],
) -> tuple[int, int]:
    """Fork a process that waits for the gate to open; return it and where it says how it went."""
    result_read, result_write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(result_write)
        return pid, result_read
    _watch()
    os.close(gate_write)
    world = World(folder, clock=Clock(now))
    os.read(gate_read, 1)
    try:
        asyncio.run(act(world))  # type: ignore[arg-type]
        said = "done"
    except ChefError as error:
        said = type(error).__name__
    os.write(result_write, said.encode())
    os._exit(0)


def answer(folder: str, now: str, approval_id: str, count: str) -> None:
    """Let processes approve at once."""
    race(
        Path(folder),
        float(now),
        int(count),
        lambda world: world.coordinator.answer(approval_id, BOB, approve=True),
    )


def resume(folder: str, now: str, approval_id: str, count: str) -> None:
    """Let processes spend at once."""
    race(
        Path(folder),
        float(now),
        int(count),
        lambda world: world.coordinator.resume(approval_id, ADA),
    )


def deploy(folder: str, now: str, count: str) -> None:
    """Let processes deploy at once, each with an approval of its own."""
    race(Path(folder), float(now), int(count), lambda world: world.deploy())


def killed(folder: str, kills: str, seed: str) -> None:
    """Kill a process that deploys, promotes and rolls back at random points.

    After each the next one finds everything readable, finishes what was cut off, and registry,
    models.yaml and the rollouts agree.
    """
    chance = random.Random(int(seed))  # noqa: S311 - moments, not secrets
    recovered = 0
    world = World(Path(folder), clock=_clock(0))
    world.add_version("acme/one")
    world.add_version("acme/two")
    world.close()
    for number in range(int(kills)):
        ready_read, ready_write = os.pipe()
        # What watches is a thread, which a fork leaves behind: a child would wait for its end
        # for ever.
        faulthandler.cancel_dump_traceback_later()
        child = os.fork()
        _watch()
        if child == 0:
            try:
                asyncio.run(deploy_for_ever(Path(folder), number, ready_write))
            finally:
                traceback.print_exc()
                os._exit(1)
        os.close(ready_write)
        os.read(ready_read, 1)
        os.close(ready_read)
        time.sleep(chance.uniform(0.0, 0.25))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status), "the process ended by itself"
        world = World(Path(folder), clock=_clock(number + 1))
        recovery = world.transitions.recover()
        assert not recovery.stuck, recovery.stuck
        recovered += len(recovery.settled)
        world.check_agreement()
        assert "# people's comment" in world.yaml.path.read_text()
        assert world.yaml.read().agent_models["cicd"] == "acme/builder"
        assert not list(world.folder.rglob(".*.tmp")), "litter of the killed process"
        rollouts = world.rollouts.of(AGENT)
        world.close()
    print(json.dumps({"recovered": recovered, "rollouts": len(rollouts)}))


def _clock(number: int) -> Clock:
    """Return a clock that goes on after those of the processes before."""
    return Clock(1_800_000_000.0 + 500.0 * number)


async def deploy_for_ever(folder: Path, number: int, ready: int) -> None:
    """Deploy, promote and roll back until killed; close ``ready`` when it begins."""
    world = World(folder, clock=_clock(number))
    world.approvals.pending(0.0)
    os.close(ready)
    while True:
        if world.rollouts.running(AGENT) is not None:
            await world.roll_back()
        serving = world.yaml.read().agent_models[AGENT]
        version = {STABLE_MODEL: "v1.0.0", "acme/one": "v1.1.0", "acme/two": "v1.0.0"}[serving]
        await world.deploy(version, strategy=("canary", "immediate")[number % 2])
        if number % 2 == 0:
            await world.promote()
            await world.promote()
        world.clock.pass_by(20)
        world.timer.tick()


if __name__ == "__main__":
    PROGRAMS: dict[str, Callable[..., None]] = {
        "answer": answer,
        "resume": resume,
        "deploy": deploy,
        "killed": killed,
    }
    program, *given = sys.argv[1:]
    PROGRAMS[program](*given)
