"""What a turn of a conversation costs beside the model call or use case in it; 100 at once.

    PYTHONPATH=support .venv/bin/python support/benchmarks/chat_overhead.py [--rounds 40]

The model is a double on loopback that answers at once, so that what is left is ours: the graph, its
checkpoints (``durability="sync"``) and the log of events, all in files. Turns and bare calls take
turns with each other. Then as many threads as ``--threads`` talk at once, each several turns; every
event has to come, in order, and memory is read before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil
from langchain_core.messages import HumanMessage
from tests.doubles.openai_server import AGENTS, OpenAIServer, Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.models import ListAgentModels
from agent_orchestrator.conversation.events import Event
from agent_orchestrator.wiring.orchestrator import Orchestrator, open_orchestrator

RESULTS: Final = Path(__file__).resolve().parent / "results" / "chat_overhead.json"
ADA: Final = Caller("ada", "benchmark", role="operator")
MODELS: Final = "list the models of cicd"
HELLO: Final = "Good morning!"
TURNS: Final = 5


def answer(body: Any) -> Reply:
    """Route to nobody where routing is asked for, else greet."""
    if not body.get("tools"):
        return Reply("Good morning.")
    arguments = json.dumps({"pieces": [], "answer": "Good morning."})
    function = {"name": "Route", "arguments": arguments}
    return Reply("", tool_calls=[{"id": "call_1", "type": "function", "function": function}])


async def turn(here: Orchestrator, thread: str, text: str) -> list[Event]:
    """Take a turn."""
    return [event async for event in here.conversation.send(thread, text, ADA)]


async def milliseconds(work: Callable[[], Awaitable[object]]) -> float:
    """Return how long it takes."""
    begun = time.perf_counter()
    await work()
    return 1e3 * (time.perf_counter() - begun)


async def alone(here: Orchestrator, rounds: int) -> list[dict[str, Any]]:
    """Take turns with bare calls, each turn in a thread that has a few turns behind it."""
    model = here.team.models.model("supervisor")
    coordinator = here.embedded.coordinator
    ways: dict[str, Callable[[str], Awaitable[object]]] = {
        "bare model call": lambda _: model.ainvoke([HumanMessage(HELLO)]),
        "turn with one model call": lambda thread: turn(here, thread, HELLO),
        "bare use case": lambda _: coordinator.run(
            "list_agent_models", ListAgentModels(agent="cicd"), ADA
        ),
        "turn with one use case": lambda thread: turn(here, thread, MODELS),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 2):
        for name, way in ways.items():
            taken = await milliseconds(partial(way, f"{name}-{number // 5}"))
            if number >= 2:  # the first two make files and connections
                times[name].append(taken)
    return [
        {
            "what": name,
            "median_ms": round(statistics.median(found), 2),
            "p95_ms": round(sorted(found)[int(0.95 * len(found))], 2),
        }
        for name, found in times.items()
    ]


async def crowd(here: Orchestrator, threads: int) -> dict[str, Any]:
    """Let threads talk at once; count what was lost or out of order."""
    process = psutil.Process()
    memory: list[int] = []
    wrong = 0

    async def talk(thread: str) -> None:
        nonlocal wrong
        told: list[Event] = []
        for _ in range(TURNS):
            told += await turn(here, thread, MODELS)
        numbers = [event.seq for event in told]
        kept = [event async for event in here.conversation.listen(thread)]
        wrong += numbers != sorted(set(numbers)) or kept != told or len(told) != 4 * TURNS

    begun = time.perf_counter()
    for generation in range(3):
        await asyncio.gather(*(talk(f"crowd-{generation}-{n}") for n in range(threads)))
        memory.append(process.memory_info().rss)
    seconds = time.perf_counter() - begun
    return {
        "threads": threads,
        "turns": 3 * threads * TURNS,
        "turns_a_second": round(3 * threads * TURNS / seconds, 1),
        "threads_with_events_lost_or_out_of_order": wrong,
        "memory_mb_after_each_third": [round(size / 2**20, 1) for size in memory],
    }


async def measure(rounds: int, threads: int) -> dict[str, Any]:
    """Measure on an installation of its own."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        async with OpenAIServer(answer) as server:
            workspace.serve_elsewhere(**dict.fromkeys(AGENTS, server.url))
            async with open_orchestrator(workspace.settings()) as here:
                one = await alone(here, rounds)
                return {"one_at_a_time": one, "at_once": await crowd(here, threads)}


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=100)
    given = parser.parse_args()
    found = asyncio.run(measure(given.rounds, given.threads))
    for row in found["one_at_a_time"]:
        print(f"{row['what']:28}{row['median_ms']:10.2f} ms{row['p95_ms']:10.2f} ms (p95)")
    for name, value in found["at_once"].items():
        print(f"{name.replace('_', ' '):44}{value}")
    machine = {"python": platform.python_version(), "cores": psutil.cpu_count()}
    RESULTS.write_text(json.dumps({"machine": machine, **found}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
