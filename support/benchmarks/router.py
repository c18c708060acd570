"""What a request costs through our router and gateway, beside other routers and direct calls.

    .venv/bin/python support/benchmarks/router.py           those whose environments exist
    .venv/bin/python support/benchmarks/router.py --peers   install missing peers first (~10 min)
    .venv/bin/python support/benchmarks/router.py --only chef-router --only direct-httpx
    .venv/bin/python support/benchmarks/router.py --quick   tells that it works, not what it costs
    .venv/bin/python support/benchmarks/router.py --render  only write the page anew from the JSON

Every contestant runs in a process and an interpreter of its own against one mock upstream on
loopback, one at a time. Calls through it take turns with direct calls of the same HTTP client in
the same process: what is added is the difference of their quantiles. CPU is the process time of a
server, or what a caller's process spends more than for direct calls. The first byte is timed from
its sending by the upstream. The load is 32 clients without a pause; memory is measured before and
after it. A full run writes results/router.json and the tables of support/docs/ROUTER_BENCHMARK.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from contest.contestants import CONTESTANTS, Contestant
from contest.measure import FULL, QUICK, Plan, measure
from contest.peers import install_missing
from contest.processes import ContestantError, mock
from contest.report import Row, document, summary, with_summary

RESULTS = Path(__file__).resolve().parent / "results" / "router.json"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "ROUTER_BENCHMARK.md"


async def run(
    contestants: Collection[Contestant], plan: Plan, unavailable: Mapping[str, str]
) -> list[Row]:
    """Measure one contestant after the other; ``unavailable``: why by the name of a peer."""
    rows = []
    async with mock() as upstream:
        for contestant in contestants:
            begun = time.monotonic()
            _say(contestant.name, "starts")
            row = await _row(contestant, plan, upstream, unavailable)
            rows.append(row)
            end = row.missing or f"done in {time.monotonic() - begun:.0f} s"
            _say(contestant.name, end)
    return rows


async def _row(
    contestant: Contestant, plan: Plan, upstream: str, unavailable: Mapping[str, str]
) -> Row:
    peer = contestant.peer
    if peer is not None and not peer.is_installed():
        why = unavailable.get(peer.name, "not installed (make bench-peers)")
        return Row(contestant, None, why)
    try:
        result = await measure(contestant, plan, upstream, partial(_say, contestant.name))
    except (ContestantError, TimeoutError, OSError) as error:
        return Row(contestant, None, f"{type(error).__name__}: {error}")
    return Row(contestant, result)


def _say(name: str, what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {name:15} {what}", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    names = [c.name for c in CONTESTANTS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", action="store_true", help="install the missing peers first")
    parser.add_argument("--only", action="append", choices=names, help="may be repeated")
    parser.add_argument("--quick", action="store_true", help="little of everything")
    parser.add_argument("--render", action="store_true", help="write the page, measure nothing")
    parser.add_argument("--requests", type=int, help="of the load")
    parser.add_argument(
        "--out", type=Path, help="where the JSON goes; a full run's goes to results/router.json"
    )
    return parser.parse_args()


def render() -> None:
    """Write the kept results into the documentation."""
    report = json.loads(RESULTS.read_text(encoding="utf-8"))
    page = with_summary(PAGE.read_text(encoding="utf-8"), report)
    PAGE.write_text(page, encoding="utf-8")


def main() -> int:
    """Measure, print the tables, write the JSON. Return 1 when one of ours was not measured."""
    given = _arguments()
    if given.render:
        render()
        return 0
    load_before = os.getloadavg()[0]
    unavailable = install_missing() if given.peers else {}
    plan = QUICK if given.quick else FULL
    if given.requests:
        plan = replace(plan, requests=given.requests)
    chosen = [c for c in CONTESTANTS if not given.only or c.name in given.only]
    rows = asyncio.run(run(chosen, plan, unavailable))
    report = document(rows, plan, load_before)
    print(summary(report))
    out = given.out or (None if given.quick or given.only else RESULTS)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if out == RESULTS:
        render()
    return 1 if any(row.result is None and row.contestant.peer is None for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
