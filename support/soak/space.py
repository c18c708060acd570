"""Kill the training Space's app, its workers or both at random points; no job may be lost.

    PYTHONPATH=support .venv/bin/python support/soak/space.py --runs 100

Each run submits a job or two of a stub worker that goes on where it was cut off, kills, starts the
app again, and lets requests be repeated as the client does. In the end every job must have
completed, each step of each exactly once in order, with one process at a time. A worker that dies
while the app watches has failed by right; it is resumed on request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path

from tests.doubles.space import RunningSpace, running_space
from tests.doubles.workshop import training_spec
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.backends.hf_space import HfSpaceBackend
from agent_orchestrator.domain.jobs import TERMINAL

_STEPS = 30
_STEP_SECONDS = 0.01
_LONGEST_WAIT = 0.6


@dataclass(slots=True)
class Tally:
    """What was done, and what came of it."""

    seed: int
    runs: int = 0
    jobs: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    """Of workers; above the number of jobs where some were cut off."""
    resumed_on_request: int = 0
    seconds: float = 0.0


async def soak(folder: Path, runs: int, seed: int) -> Tally:
    """Run the kills. Raises AssertionError when a job was lost or worked on twice."""
    chance, tally = random.Random(seed), Tally(seed)  # noqa: S311 - it picks, it hides nothing
    workspace = Workspace(folder)
    workspace.scenario(steps=_STEPS, seconds=_STEP_SECONDS)
    begun = time.monotonic()
    with running_space(folder / "space", workspace.settings().trainer_python) as space:
        for run in range(runs):
            backend = space.backend(folder / "artifacts")
            for number in range(chance.randint(1, 2)):
                job_id = f"job_{run}_{number}"
                model = f"local/{job_id.replace('_', '-')}"
                backend.submit(job_id, training_spec(output_model=model))
                tally.jobs += 1
            await asyncio.sleep(chance.uniform(0, _LONGEST_WAIT))
            whom = chance.choice(("app", "worker", "container", "app politely"))
            _kill(space, whom)
            tally.killed[whom] += 1
            tally.runs += 1
        await _all_completed(space.backend(folder / "artifacts"), tally)
        _check(space, tally)
    tally.seconds = round(time.monotonic() - begun, 1)
    return tally


def _kill(space: RunningSpace, whom: str) -> None:
    """Kill, and start the app again where it was hit."""
    if whom != "worker":
        space.end(signal.SIGTERM if whom == "app politely" else signal.SIGKILL)
    if whom in {"worker", "container"}:
        for record in space.jobs.glob("*/process.json"):
            _end(json.loads(record.read_text(encoding="utf-8"))["pid"])
    if whom != "worker":
        assert space.start(), "".join(space.log[-20:])


def _end(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


async def _all_completed(backend: HfSpaceBackend, tally: Tally) -> None:
    """Wait for every job's end; resume what failed because its worker was killed."""

    def job_ids() -> list[str]:
        return [job["job_id"] for job in backend.client.get("/jobs").json()["jobs"]]

    assert len(job_ids()) == tally.jobs
    for job_id in job_ids():
        ref = {"job_id": job_id}
        while True:
            await eventually(lambda ref=ref: backend.poll(ref).status in TERMINAL)  # type: ignore[misc]
            progress = backend.poll(ref)
            if progress.status == "completed":
                break
            assert progress.failure is not None, progress
            assert progress.failure.kind == "killed", progress
            backend.resume(ref)
            tally.resumed_on_request += 1


def _check(space: RunningSpace, tally: Tally) -> None:
    """Look whether each job has done each step once, in order."""
    for path in space.jobs.glob("*/progress.jsonl"):
        events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        steps = [event["step"] for event in events if event["event"] == "step"]
        assert steps == list(range(1, _STEPS + 1)), (path, steps)
        tally.starts += sum(event["event"] == "started" for event in events)


def main() -> None:
    """Run as the arguments say; print what was done as JSON."""
    parser = argparse.ArgumentParser(description="Kill the Space's app at random points.")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = asyncio.run(soak(Path(folder), arguments.runs, arguments.seed))
    print(json.dumps({item.name: getattr(tally, item.name) for item in fields(tally)}, indent=2))


if __name__ == "__main__":
    main()
