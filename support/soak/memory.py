"""Load a gateway until it can do no more; see that its memory stays where it is.

    PYTHONPATH=support .venv/bin/python support/soak/memory.py --seconds 600

A real gateway process, clients that never pause (half of them stream, each request a new task), and
its resident memory once a second. First it warms up: pools and caches fill and the allocator's
arenas settle. That takes a third of the run and 50,000 requests, in a short run two thirds of it.
Then a line is fitted through the memory; its rise over the rest must stay below 8 MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import aiohttp
import psutil
from tests.doubles.fleet import AGENT, Fleet

_CLIENTS = 64
_WARM_UP = 1 / 3
_LONGEST_WARM_UP = 2 / 3
_WARM_UP_REQUESTS = 50_000
_NOISE_MIB = 8.0
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Soaked:
    """What a run showed."""

    seconds: float
    requests: int
    failed: int
    first_mib: float
    """Resident memory at the end of the warm-up."""
    last_mib: float
    slope_mib_a_minute: float
    rise_mib: float
    """By the fitted line, from the end of the warm-up to the end."""
    bound_mib: float

    @property
    def is_flat(self) -> bool:
        """Whether memory stayed within the bound, and every request was answered."""
        return self.rise_mib <= self.bound_mib and not self.failed


async def soak(seconds: float, folder: Path) -> Soaked:
    """Load one gateway for so long."""
    answered = failed = 0
    tasks = count()
    end = time.monotonic() + seconds
    samples: list[tuple[float, float, int]] = []

    async def client(http: aiohttp.ClientSession, url: str) -> None:
        nonlocal answered, failed
        while time.monotonic() < end:
            number = next(tasks)
            body = {
                "model": f"agent/{AGENT}",
                "messages": [{"role": "user", "content": "Who?"}],
                "stream": number % 2 == 0,
            }
            headers = {"X-Task-Id": f"task-{number}"}
            async with http.post(url, json=body, headers=headers) as response:
                await response.read()
                failed += response.status != 200
            answered += 1

    async with Fleet(folder, gateways=1) as fleet:
        [gateway] = fleet.gateways
        process = psutil.Process(int(gateway.process.rpartition("-")[2]))
        begun = time.monotonic()
        end = begun + seconds
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            url = f"{gateway.url}/v1/chat/completions"
            running = [asyncio.create_task(client(http, url)) for _ in range(_CLIENTS)]
            while time.monotonic() < end:
                fleet.models.requests.clear()
                memory = process.memory_info().rss / _MIB
                samples.append((time.monotonic() - begun, memory, answered))
                await asyncio.sleep(1.0)
            await asyncio.gather(*running)
    return _judge(seconds, samples, answered, failed)


def _judge(
    seconds: float, samples: list[tuple[float, float, int]], answered: int, failed: int
) -> Soaked:
    warm = [sample for sample in samples if _is_warm(sample[0] / seconds, sample[2])]
    times, memory, _ = zip(*warm, strict=True)
    slope = statistics.linear_regression(times, memory).slope
    return Soaked(
        seconds=seconds,
        requests=answered,
        failed=failed,
        first_mib=memory[0],
        last_mib=memory[-1],
        slope_mib_a_minute=slope * 60,
        rise_mib=slope * (times[-1] - times[0]),
        bound_mib=_NOISE_MIB,
    )


def _is_warm(share: float, answered: int) -> bool:
    """Return whether the warm-up is over, ``share`` of the run's time having passed."""
    if share < _WARM_UP:
        return False
    return answered >= _WARM_UP_REQUESTS or share >= _LONGEST_WARM_UP


def main() -> int:
    """Run the soak; 0 when memory is flat."""
    parser = argparse.ArgumentParser(description="Load a gateway and watch its memory.")
    parser.add_argument("--seconds", type=float, default=600.0)
    seconds: float = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        found = asyncio.run(soak(seconds, Path(folder)))
    print(json.dumps({**asdict(found), "flat": found.is_flat}, indent=2))
    return 0 if found.is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
