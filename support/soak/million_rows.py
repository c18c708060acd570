"""A million rows through check, cleaning, split and hash: how long, and in how much memory.

Each size runs in a process of its own, which makes its rows as it goes: one in fifty is a copy of
an earlier one, one in fifty nearly so, one in a hundred holds a secret, one in a thousand is empty.
Fails when a million rows take much more memory than ten thousand, or when a fault was not found.

    python support/soak/million_rows.py            # 10,000, 100,000 and 1,000,000
    python support/soak/million_rows.py 5000       # another size
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from agent_orchestrator.agents.infrastructure.modelops.datasets.drafts import CLEANED
from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import BadRow, Source
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.errors import EmptyRowError

SIZES = (10_000, 100_000, 1_000_000)
MOST_MORE_MIB = 64
"""How much more memory the largest may take than the smallest: caches that fill, no rows."""
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "bdgklmnprstx"]
RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "million_rows.json"


def rows(count: int) -> Iterator[Example | BadRow]:
    """Yield ``count`` rows, faults among them."""
    for number in range(count):
        if number % 1000 == 999:
            yield BadRow(f"row {number}", EmptyRowError("The task is empty."))
            continue
        copied = number % 50 in {48, 49} and number > 50
        task = text(number - 40 if copied else number, 40)
        answer = text((number - 40 if copied else number) + 10**9, 20)
        if number % 50 == 49:
            task += " please"
        if number % 100 == 7:
            answer += f" AKIA{number:016d}".replace("0", "Q")
        yield Example(id=f"r{number}", inputs={"task": task}, outputs={"answer": answer})


def text(seed: int, words: int) -> str:
    """Return words that the seed chooses."""
    return " ".join(random.Random(seed).choices(WORDS, k=words))  # noqa: S311


def measure(count: int) -> dict[str, float]:
    """Build a data set of ``count`` rows; return what it took."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        dataset = DatasetStore(Path(folder)).build(
            "feature_dev", Source("million", "made", rows(count)), recipe=CLEANED
        )
        seconds = time.perf_counter() - started
        size = sum(path.stat().st_size for path in dataset.folder.iterdir())
    found: dict[str, int] = {finding.kind: finding.count for finding in dataset.findings}
    return {
        "rows": count,
        "seconds": round(seconds, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "data_set_mib": round(size / 2**20),
        "train": dataset.counts["train"],
        "held_out": dataset.counts["eval"],
        **{kind: found.get(kind, 0) for kind in KINDS},
    }


KINDS = ("empty_row", "secret", "duplicate", "near_duplicate", "leak_near")


def main() -> None:
    """Measure every size, each in a process of its own."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(int(sys.argv[2]))))
        return
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    results = []
    print(f"{'rows':>9} {'seconds':>8} {'rows/s':>7} {'peak MiB':>9}  " + "  ".join(KINDS))
    for size in sizes:
        done = subprocess.run(
            [sys.executable, __file__, "--one", str(size)],
            check=True,
            capture_output=True,
            text=True,
        )
        result = json.loads(done.stdout)
        results.append(result)
        found = "  ".join(f"{result[kind]:>{len(kind)}}" for kind in KINDS)
        rate = size / result["seconds"]
        print(f"{size:>9} {result['seconds']:>8} {rate:>7.0f} {result['peak_mib']:>9}  {found}")
        assert result["empty_row"] == size // 1000
        assert result["secret"] >= 0.98 * size / 100
        assert result["duplicate"] >= 0.98 * (size / 50 - 2)
    if len(results) > 1:
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    more = results[-1]["peak_mib"] - results[0]["peak_mib"]
    assert more <= MOST_MORE_MIB, f"{more} MiB more for {sizes[-1]} rows than for {sizes[0]}"


if __name__ == "__main__":
    main()
