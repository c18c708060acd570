"""Clients of the demo: they send held-out functions and say which answers were right."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

CLIENTS = 4


@dataclass(frozen=True)
class Function:
    """A held-out function and the defect planted in it."""

    task: str
    defect: str


@dataclass
class Traffic:
    """What the clients saw. Times are seconds since the epoch."""

    url: str
    token: str
    requests: int = 0
    failed: int = 0
    by_version: Counter[str] = field(default_factory=Counter)
    right_by_version: Counter[str] = field(default_factory=Counter)
    log: list[tuple[float, str, bool]] = field(default_factory=list)
    """(time, version that answered, whether it was right)."""

    async def run(
        self, functions: list[Function], done: Callable[[], bool], limit_s: float
    ) -> None:
        """Send requests until ``done()`` says so; TimeoutError after ``limit_s`` seconds."""
        queue = itertools.cycle(functions)
        deadline = time.monotonic() + limit_s
        headers = {"Authorization": f"Bearer {self.token}"}
        async with aiohttp.ClientSession(self.url, headers=headers) as session:

            async def client() -> None:
                while not done():
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"No end of the rollout after {limit_s:.0f} s.")
                    await self._ask(session, next(queue))

            async with asyncio.TaskGroup() as tasks:
                for _ in range(CLIENTS):
                    tasks.create_task(client())

    async def _ask(self, session: aiohttp.ClientSession, function: Function) -> None:
        body = {
            "model": "agent/code_review",
            "messages": [{"role": "user", "content": function.task}],
            "max_tokens": 16,
            "temperature": 0,
        }
        self.requests += 1
        headers = {"X-Task-Id": uuid.uuid4().hex}
        async with session.post("/v1/chat/completions", json=body, headers=headers) as response:
            if response.status != 200:
                self.failed += 1
                return
            answer = await response.json()
            request_id = response.headers["X-Request-Id"]
            version = response.headers.get("X-Chef-Version") or "unregistered"
        right = answer["choices"][0]["message"]["content"].strip() == function.defect
        self.by_version[version] += 1
        self.right_by_version[version] += right
        self.log.append((time.time(), version, right))
        judgement = {"request_id": request_id, "score": float(right), "source": "planted-defect"}
        async with session.post("/v1/feedback", json=judgement) as response:
            if response.status >= 300:
                self.failed += 1


def held_out_functions(dataset_folder: Path, seed: int) -> list[Function]:
    """Return the data set's held-out functions in a random order."""
    lines = (dataset_folder / "eval.jsonl").read_bytes().splitlines()
    rows = [json.loads(line) for line in lines]
    functions = [Function(row["inputs"]["task"], row["outputs"]["answer"]) for row in rows]
    random.Random(seed).shuffle(functions)  # noqa: S311 - an order, not a secret
    return functions
