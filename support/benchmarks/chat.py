"""What a turn of @chef costs beside the model calls that it makes, and 100 conversations at once.

    PYTHONPATH=support .venv/bin/python support/benchmarks/chat.py [--turns 60] [--seconds 60]

One turn in which the supervisor hands a question to the documentation agent makes two model calls.
The models are a scripted server on loopback that answers at once, so that what is left is ours:

- bare: the same two calls, one after the other, by aiohttp;
- graph: the compiled graph in this process, nothing kept;
- kept: the same with its checkpoints in SQLite, written before each next step;
- conversation: the same through ``Conversation``, every event kept;
- HTTP: the API in a process of its own, the turn's events as they come.

The ways take turns, so that a busy moment of the machine meets all of them. ``use case`` is a
reading use case by itself, ``parser`` a turn over HTTP in which no model but the parser takes part
and that runs it.

Then ``--streams`` people talk over HTTP at the same time, a model that writes a token every 20 ms,
for ``--seconds``. Every stream is checked: numbers that rise, tokens that join to their message,
and afterwards that what can be read again is what was heard, event for event. The API's resident
memory is taken once a second; a line through its last two thirds tells its rise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
from tests.doubles.api_process import ApiProcess
from tests.doubles.openai_server import AGENTS, OpenAIServer, Reply
from tests.doubles.sse import SseEvent, SseReader
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.models import ListAgentModels
from agent_orchestrator.wiring.orchestrator import Orchestrator, compose_graph, open_orchestrator

RESULTS: Final = Path(__file__).resolve().parent / "results" / "chat.json"
_ADA: Final = Caller("ada", "benchmark", "operator")
_QUESTION: Final = "What does the function do?"
_WORDS: Final = 20
_MIB: Final = 1024 * 1024
_WARM_UP: Final = 1 / 3
#: What is not kept, and so has no number.
_UNNUMBERED: Final = ("thread", "token")


def script(between: float) -> Callable[[Mapping[str, Any]], Reply]:
    """Return what the models answer: the supervisor routes, an agent says ``_WORDS`` words."""
    pieces = [{"agent": "documentation", "task": _QUESTION}]
    function = {"name": "Route", "arguments": json.dumps({"pieces": pieces, "answer": ""})}
    routed = Reply("", tool_calls=[{"id": "call_1", "type": "function", "function": function}])
    said = Reply(" ".join(f"word{number}" for number in range(_WORDS)), between=between)
    return lambda body: routed if body["model"] == "acme/supervisor" else said


@dataclass
class Installation:
    """A workspace whose agents' models are the scripted server's, and the API over it."""

    workspace: Workspace
    models: OpenAIServer
    api: psutil.Process
    url: str
    token: str


@asynccontextmanager
async def installation(folder: Path) -> AsyncIterator[Installation]:
    """Start everything, and stop it."""
    async with OpenAIServer(script(0.0)) as models:
        workspace = Workspace(folder, {"CHEF_API_RATE": "100000", "CHEF_LOG_LEVEL": "WARNING"})
        workspace.serve_elsewhere(**dict.fromkeys(AGENTS, models.url))
        api = ApiProcess(workspace)
        token = api.token("ada", "operator")
        with api.running() as process:
            yield Installation(workspace, models, psutil.Process(process.pid), api.url, token)


# --- one turn, in different ways ---------------------------------------------------------------

Way = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Row:
    """How long the turns of one way took, milliseconds."""

    way: str
    p50: float
    p95: float
    added_p50: float
    """Over the bare calls; over the bare use case for ``parser``."""


async def compare(place: Installation, turns: int) -> list[Row]:
    """Time every way ``turns`` times, in rotation."""
    async with (
        open_orchestrator(place.workspace.settings()) as orchestrator,
        aiohttp.ClientSession() as http,
    ):
        ways = _ways(place, orchestrator, http)
        took: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(turns + 3):
            place.models.requests.clear()
            for name, way in ways.items():
                began = time.perf_counter()
                await way()
                if turn >= 3:  # the first ones load what is loaded late
                    took[name].append(1000 * (time.perf_counter() - began))
    p50 = {name: statistics.median(ms) for name, ms in took.items()}
    beside = {name: "use case" if name in {"use case", "parser"} else "bare" for name in took}
    return [
        Row(name, p50[name], statistics.quantiles(ms, n=20)[-1], p50[name] - p50[beside[name]])
        for name, ms in took.items()
    ]


def _ways(
    place: Installation, orchestrator: Orchestrator, http: aiohttp.ClientSession
) -> dict[str, Way]:
    number = count()
    settings = place.workspace.settings()
    alone = compose_graph(settings, orchestrator.embedded, orchestrator.team, None)
    given: Any = {"messages": [("user", _QUESTION)]}

    def config() -> Any:
        thread = f"bench-{next(number)}"
        return {"configurable": {"thread_id": thread, "caller": _ADA, "following": lambda: False}}

    async def bare() -> None:
        for model, stream in (("acme/supervisor", False), ("acme/documentation", True)):
            body = {
                "model": model,
                "messages": [{"role": "user", "content": _QUESTION}],
                "stream": stream,
            }
            async with http.post(f"{place.models.url}/chat/completions", json=body) as answer:
                await answer.read()

    async def conversation() -> None:
        thread = f"bench-{next(number)}"
        async for _ in orchestrator.conversation.send(thread, _QUESTION, _ADA):
            pass

    return {
        "bare": bare,
        "graph": lambda: alone.ainvoke(given, config()),
        "kept": lambda: orchestrator.graph.ainvoke(given, config(), durability="sync"),
        "conversation": conversation,
        "HTTP": lambda: _turn(place, http, {"message": _QUESTION}),
        "use case": lambda: orchestrator.embedded.coordinator.run(
            "list_agent_models", ListAgentModels(agent="code_review"), _ADA
        ),
        "parser": lambda: _turn(place, http, {"message": "list the models of code_review"}),
    }


async def _turn(
    place: Installation, http: aiohttp.ClientSession, given: Mapping[str, Any]
) -> list[SseEvent]:
    """Say something over HTTP; return the events."""
    return await _heard(place, http, "POST", "/chat", json=given)


async def _heard(
    place: Installation, http: aiohttp.ClientSession, method: str, path: str, **options: Any
) -> list[SseEvent]:
    headers = {"Authorization": f"Bearer {place.token}"}
    reader, events = SseReader(), list[SseEvent]()
    async with http.request(method, place.url + path, headers=headers, **options) as answer:
        answer.raise_for_status()
        async for piece in answer.content.iter_any():
            events += reader.feed(piece)
    return events


# --- many conversations at once ----------------------------------------------------------------


@dataclass
class Crowd:
    """What many conversations at the same time showed."""

    streams: int
    seconds: float
    turns: int = 0
    events: int = 0
    faults: list[str] = field(default_factory=list)
    """Events lost, out of order or not whole."""
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    alone_ms: float = 0.0
    """The p50 of one conversation alone, with the same model."""
    first_mib: float = 0.0
    last_mib: float = 0.0
    rise_mib: float = 0.0
    """By the fitted line, over the last two thirds."""
    cpu_share: float = 0.0
    """Of one core, by the API's process."""
    cpu_ms: float = 0.0
    """The API's processor time for a turn that is read again once; less disturbed than the rest."""


async def crowd(place: Installation, streams: int, seconds: float) -> Crowd:
    """Let ``streams`` people talk for ``seconds``."""
    place.models.answer_with(script(0.02))
    found = Crowd(streams, seconds)
    took: list[float] = []
    memory: list[tuple[float, float]] = []
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout()) as http:
        alone = [await _checked(place, http, Crowd(1, 0.0)) for _ in range(5)]
        found.alone_ms = statistics.median(alone)
        end = time.monotonic() + seconds
        before = sum(place.api.cpu_times()[:2])

        async def person() -> None:
            while time.monotonic() < end:
                took.append(await _checked(place, http, found))

        people = [asyncio.create_task(person()) for _ in range(streams)]
        while time.monotonic() < end:
            place.models.requests.clear()
            memory.append((time.monotonic(), place.api.memory_info().rss / _MIB))
            await asyncio.sleep(1.0)
        found.cpu_share = (sum(place.api.cpu_times()[:2]) - before) / seconds
        await asyncio.gather(*people)
        found.cpu_ms = 1000 * (sum(place.api.cpu_times()[:2]) - before) / len(took)
    found.p50_ms, found.p95_ms = statistics.median(took), statistics.quantiles(took, n=20)[-1]
    _judge_memory(found, memory)
    return found


async def _checked(place: Installation, http: aiohttp.ClientSession, found: Crowd) -> float:
    """Say something in a new thread; check what is heard; return the turn's milliseconds."""
    began = time.perf_counter()
    events = await _turn(place, http, {"message": _QUESTION})
    took = 1000 * (time.perf_counter() - began)
    thread = events[0].data["thread_id"]
    again = await _heard(place, http, "GET", f"/chat/{thread}/events")
    kept = [event for event in events if event.event not in _UNNUMBERED]
    found.turns += 1
    found.events += len(events)
    found.faults += faults(events, kept, [e for e in again if e.event not in _UNNUMBERED])
    return took


def faults(
    events: Sequence[SseEvent], kept: Sequence[SseEvent], again: Sequence[SseEvent]
) -> list[str]:
    """Say what is wrong with a turn: numbers out of order, lost pieces, another memory of it."""
    said = []
    numbers = [int(event.id) for event in kept]
    if numbers != sorted(set(numbers)):
        said.append(f"numbers {numbers}")
    if kept[-1].event != "end":
        said.append(f"ends with {kept[-1].event}")
    if list(again) != list(kept):
        said.append("what can be read again is not what was heard")
    for message in (e.data for e in kept if e.event == "message"):
        pieces = [
            e.data["text"]
            for e in events
            if e.event == "token" and e.data["message_id"] == message["message_id"]
        ]
        if "".join(pieces) != message["text"]:
            said.append(f"{len(pieces)} tokens do not join to their message")
    return said


def _judge_memory(found: Crowd, memory: Sequence[tuple[float, float]]) -> None:
    first = memory[0][0]
    warm = [(at, mib) for at, mib in memory if at - first >= _WARM_UP * found.seconds]
    times, mib = zip(*warm, strict=True)
    slope = statistics.linear_regression(times, mib).slope
    found.first_mib, found.last_mib = mib[0], mib[-1]
    found.rise_mib = slope * (times[-1] - times[0])


async def measure(turns: int, streams: int, seconds: float) -> tuple[list[Row], Crowd]:
    """Take both measurements over one installation."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        async with installation(Path(folder)) as place:
            return await compare(place, turns), await crowd(place, streams, seconds)


def main() -> int:
    """Measure, print and write; 1 when an event was lost or out of order."""
    parser = argparse.ArgumentParser(description="What a turn of @chef costs.")
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    load = psutil.getloadavg()[0]
    rows, found = asyncio.run(measure(given.turns, given.streams, given.seconds))
    print(f"{'way':<14}{'p50 ms':>10}{'p95 ms':>10}{'added ms':>10}")
    for row in rows:
        print(f"{row.way:<14}{row.p50:>10.1f}{row.p95:>10.1f}{row.added_p50:>10.1f}")
    print(
        f"\n{found.streams} conversations at once for {found.seconds:g} s: {found.turns} turns, "
        f"{found.events} events, {len(found.faults)} faults {found.faults[:3]}\n"
        f"a turn {found.p50_ms:.0f} ms (p95 {found.p95_ms:.0f}), alone {found.alone_ms:.0f} ms; "
        f"{found.cpu_share:.0%} of a core, {found.cpu_ms:.1f} ms of it a turn; "
        f"memory {found.first_mib:.1f} → {found.last_mib:.1f} MiB "
        f"(rise {found.rise_mib:.1f})"
    )
    document = {
        "machine": {
            "python": platform.python_version(),
            "cores": psutil.cpu_count(),
            "load_before": load,
        },
        "turn": [asdict(row) for row in rows],
        "crowd": asdict(found),
    }
    RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
