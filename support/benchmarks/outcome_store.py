"""What it costs to keep an outcome: rows a second and this process's CPU, beside plain writers.

    PYTHONPATH=support .venv/bin/python support/benchmarks/outcome_store.py [--rounds 7]

Both databases are durable (SQLite with synchronous=FULL, PostgreSQL with fsync on, each on the disk
of the temporary folder) and have the real table with its indexes. Every round runs every writer
once, in a shuffled order; ratios are taken within a round.

- store: ``OutcomeStore.append_many``, one transaction a batch;
- driver: the driver's own ``executemany`` of the bare INSERT, one transaction a batch. It does not
  look for outcomes that are there already: the floor for SQLite, and what one would write first for
  PostgreSQL, where it sends a row at a time;
- core: SQLAlchemy's ``insert()`` of the batch, the usual way;
- row: the driver's INSERT with a commit after each row.

Then four processes append a batch every flush interval, as gateways do, and the time of each append
is taken; and an ``OutcomeLog`` takes 2,000 outcomes a second while its event loop is watched, for
comparison also with a sink that keeps nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import os
import platform
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from tests.postgres import PostgresServer

from agent_orchestrator.domain.outcomes import Feedback, Outcome
from agent_orchestrator.errors import ChefError
from agent_orchestrator.serving.outcome_log import OutcomeLog, OutcomeSink
from agent_orchestrator.stores.database import Database, metadata
from agent_orchestrator.stores.outcomes import OutcomeStore

RESULTS: Final = Path(__file__).resolve().parent / "results" / "outcome_store.json"
BATCHES: Final = (1, 10, 100, 500)
#: About how many rows a writer writes in a round; fewer in small batches, which are slow.
ROWS: Final = 4000
_COLUMNS: Final = tuple(field.name for field in fields(Outcome))
_VALUES: Final = attrgetter(*_COLUMNS)
_INTERVAL: Final = 0.1
_GATEWAYS: Final = 4
_PER_SECOND: Final = 2000
_SECONDS: Final = 5.0

Write = Callable[[Sequence[Outcome]], object]
Row = dict[str, Any]


def outcomes(count: int, names: Iterator[int]) -> list[Outcome]:
    """Return new outcomes."""
    return [
        Outcome(
            request_id=f"{os.getpid():06d}-0000-4000-8000-{number:012d}",
            attempt=0,
            at=1.8e9 + number / 100,
            agent="feature_dev",
            task_id=f"task-{number % 1000}",
            model="acme/feature-dev-v2",
            arm="candidate" if number % 5 == 0 else "stable",
            version="v1.1.0",
            rollout_id="ro_20261120_7f3a",
            latency_ms=812.5 + number % 100,
            valid_output=True,
            prompt_tokens=900,
            completion_tokens=250,
        )
        for number in itertools.islice(names, count)
    ]


def writers(database: Database, kind: str) -> Mapping[str, Write]:
    """Return the ways to write a batch."""
    store = OutcomeStore(database)
    store.position()  # makes the tables
    mark = "?" if kind == "sqlite" else "%s"
    marks = ", ".join([mark] * len(_COLUMNS))
    insert = f"INSERT INTO outcomes ({', '.join(_COLUMNS)}) VALUES ({marks})"  # noqa: S608
    table = metadata.tables["outcomes"]
    driver = database._backend.engine.raw_connection()  # with the same pragmas
    cursor = driver.cursor()
    begin = (lambda: cursor.execute("BEGIN IMMEDIATE")) if kind == "sqlite" else (lambda: None)

    def by_driver(batch: Sequence[Outcome]) -> None:
        begin()
        cursor.executemany(insert, [_VALUES(outcome) for outcome in batch])
        driver.commit()

    def by_row(batch: Sequence[Outcome]) -> None:
        for outcome in batch:
            begin()
            cursor.execute(insert, _VALUES(outcome))
            driver.commit()

    def by_core(batch: Sequence[Outcome]) -> None:
        with database.write() as connection:
            rows = [dict(zip(_COLUMNS, _VALUES(outcome), strict=True)) for outcome in batch]
            connection.execute(table.insert(), rows)

    return {"store": store.append_many, "driver": by_driver, "core": by_core, "row": by_row}


def contest(
    kind: str, url: str, rounds: int, *, sizes: Sequence[int] = BATCHES, rows: int = ROWS
) -> list[Row]:
    """Let the writers write, round by round; return a row for each and each size of batch."""
    database = Database(url)
    ways = writers(database, kind)
    names = itertools.count()
    chance = random.Random(1)  # noqa: S311 - an order, not secrets
    runs = [(size, way) for size in sizes for way in ways if way != "row" or size == 1]
    rates: dict[tuple[int, str], list[float]] = defaultdict(list)
    costs: dict[tuple[int, str], list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        chance.shuffle(runs)
        for size, way in runs:
            batches = [outcomes(size, names) for _ in range(max(4, min(200, rows // size)))]
            begun, cpu = time.perf_counter(), time.process_time()
            for batch in batches:
                ways[way](batch)
            written = size * len(batches)
            if number:  # the first round warms up
                rates[size, way].append(written / (time.perf_counter() - begun))
                costs[size, way].append((time.process_time() - cpu) / written * 1e6)
    database.close()
    return [
        {
            "database": kind,
            "writer": way,
            "batch": size,
            "per_second": spread(rates[size, way], 0),
            "cpu_us": spread(costs[size, way], 2),
            "rate_to_driver": ratio(rates[size, way], rates[size, "driver"]),
            "rate_to_row": ratio(rates[size, way], rates[1, "row"]),
            "cpu_to_core": ratio(costs[size, way], costs[size, "core"]),
        }
        for size, way in sorted(rates)
    ]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return the spread of the rounds' ratios."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)] if theirs else [], 2)


def spread(values: Sequence[float], digits: int) -> list[float]:
    """Return median, least and greatest; nothing without values."""
    if not values:
        return []
    return [round(f(values), digits) for f in (statistics.median, min, max)]


def append_as_gateway(url: str, per_batch: int, seconds: float, result: Any) -> None:
    """Append a batch every interval; put the times of the appends, in seconds."""
    database = Database(url)
    store, names, times = OutcomeStore(database), itertools.count(), []
    store.position()
    until = time.monotonic() + seconds
    while (begun := time.monotonic()) < until:
        batch = outcomes(per_batch, names)
        at = time.perf_counter()
        store.append_many(batch)
        times.append(time.perf_counter() - at)
        time.sleep(max(0.0, begun + _INTERVAL - time.monotonic()))
    database.close()
    result.put(times)


def together(kind: str, url: str) -> Row:
    """Let several gateways append at once; return how long an append takes, milliseconds."""
    context = multiprocessing.get_context("spawn")
    result = context.Queue()
    per_batch = int(_PER_SECOND * _INTERVAL)
    arguments = (url, per_batch, _SECONDS, result)
    gateways = [context.Process(target=append_as_gateway, args=arguments) for _ in range(_GATEWAYS)]
    for gateway in gateways:
        gateway.start()
    times = sorted(1000 * t for _ in gateways for t in result.get())
    for gateway in gateways:
        gateway.join()
    return {
        "database": kind,
        "gateways": _GATEWAYS,
        "outcomes_per_second_each": _PER_SECOND,
        "appends": len(times),
        "append_ms": {
            "p50": round(times[len(times) // 2], 2),
            "p99": round(times[int(len(times) * 0.99)], 2),
            "worst": round(times[-1], 2),
        },
    }


class Nowhere:
    """Keeps nothing: what is left is the log's own cost, and the machine's noise."""

    def append_many(self, outcomes: Sequence[Outcome]) -> None:
        """Forget."""

    def add_feedback_many(self, judgements: Sequence[Feedback]) -> list[ChefError | None]:
        """Forget."""
        return [None] * len(judgements)


async def through_the_log(kind: str, sink: OutcomeSink) -> Row:
    """Record outcomes at a steady rate; return CPU per outcome and the event loop's delays."""
    names, delays = itertools.count(), []
    batch = int(_PER_SECOND / 100)
    ready = outcomes(batch * int(100 * _SECONDS), names)
    async with OutcomeLog(sink) as log:
        await log.flush()
        cpu, begun = time.process_time(), time.perf_counter()
        for number, start in enumerate(range(0, len(ready), batch), 1):
            for outcome in ready[start : start + batch]:
                log.record(outcome)
            due = begun + number / 100
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            delays.append(1000 * (time.perf_counter() - due))
        await log.flush()
        spent = time.process_time() - cpu
    delays.sort()
    return {
        "database": kind,
        "outcomes_per_second": _PER_SECOND,
        "cpu_us_per_outcome": round(spent / len(ready) * 1e6, 2),
        "loop_delay_ms": {
            "p50": round(delays[len(delays) // 2], 2),
            "p99": round(delays[int(len(delays) * 0.99)], 2),
        },
        "dropped": log.dropped,
    }


@contextmanager
def databases() -> Iterator[Mapping[str, str]]:
    """Give kind → URL of an empty, durable database."""
    with (
        tempfile.TemporaryDirectory() as folder,
        PostgresServer.running("-c", "fsync=on") as server,
        server.database() as url,
    ):
        yield {"sqlite": f"sqlite:///{folder}/state.db", "postgresql": url}


def show(rows: Sequence[Row]) -> None:
    """Print the table of writers."""
    head = ("database", "batch", "writer", "rows/s (least–most)", "CPU µs/row", "× driver", "× row")
    print("{:12}{:>6} {:8}{:>26}{:>12}{:>10}{:>10}".format(*head))
    for row in rows:
        median, least, most = row["per_second"]
        rate = f"{median:,.0f} ({least:,.0f}–{most:,.0f})"
        ratios = [f"{row[key][0]:.2f}" if row[key] else "" for key in _RATIOS]
        print(
            f"{row['database']:12}{row['batch']:>6} {row['writer']:8}{rate:>26}"
            f"{row['cpu_us'][0]:>12.1f}{ratios[0]:>10}{ratios[1]:>10}"
        )


def page_table(document: Mapping[str, Any]) -> str:
    """Return the table of the documentation: batches of ``PAGE_BATCH``, medians."""
    lines = [
        "| Database | Writer | Rows a second | CPU a row | Against a commit a row |",
        "|---|---|---:|---:|---:|",
    ]
    lines += [
        f"| {_DATABASES[row['database']]} | {_WRITERS[row['writer']]} "
        f"| {row['per_second'][0]:,.0f} | {row['cpu_us'][0]:.1f} µs "
        f"| {'{:.1f} × ({:.1f}–{:.1f})'.format(*row['rate_to_row'])} |"
        for row in document["writers"]
        if row["batch"] == (1 if row["writer"] == "row" else PAGE_BATCH)
    ]
    return "\n".join(lines)


PAGE_BATCH: Final = 100
_DATABASES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_WRITERS: Final = {
    "store": "**the store**",
    "driver": "driver, `executemany`",
    "core": "SQLAlchemy Core",
    "row": "driver, a commit a row",
}
_RATIOS: Final = ("rate_to_driver", "rate_to_row")


def main() -> None:
    """Measure, print, write the JSON."""
    parser = argparse.ArgumentParser(description="Cost of keeping outcomes.")
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    rows: list[Row] = []
    with databases() as urls:
        for kind, url in urls.items():
            rows += contest(kind, url, rounds)
        show(rows)
        shared = [together(kind, url) for kind, url in urls.items()]
        sinks: dict[str, OutcomeSink] = {"none": Nowhere()}
        sinks |= {kind: OutcomeStore(Database(url)) for kind, url in urls.items()}
        logged = [asyncio.run(through_the_log(kind, sink)) for kind, sink in sinks.items()]
    for row in (*shared, *logged):
        print(json.dumps(row))
    machine = {"cpus": os.cpu_count(), "python": platform.python_version()}
    document = {
        "rounds": rounds,
        "machine": machine,
        "writers": rows,
        "several_gateways": shared,
        "log": logged,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
