"""The machinery of support/benchmarks/router.py; what it measures is not judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from contest.contestants import CONTESTANTS
from contest.measure import QUICK, Result, Spread
from contest.report import Row, document, standing, table, with_summary

ROOT = Path(__file__).resolve().parents[3]
OURS = ("chef-router", "chef-gateway")


def result(*, added: float, cpu: float) -> Result:
    """Return a result whose other figures do not matter."""
    one = Spread(1.0, 0.5, 2.0)
    return Result(
        direct_ms={"p50": one, "p95": one, "p99": one},
        added_ms={"p50": Spread(added, added, added), "p95": one, "p99": one},
        cpu_ms=Spread(cpu, cpu, cpu),
        first_byte_ms=one,
        direct_first_byte_ms=one,
        per_second=one,
        requests=100,
        failed=0,
        first_failure="",
        memory_start_mb=60.0,
        memory_end_mb=61.0,
        split=(80, 20),
        split_p_value=1.0,
    )


def report(**results: Result) -> dict:
    """Return the document of those results (by name, with underscores)."""
    rows = []
    for contestant in CONTESTANTS:
        given = results.get(contestant.name.replace("-", "_"))
        rows.append(Row(contestant, given, "" if given else "not installed"))
    return document(rows, QUICK, 0.5)


def test_goals_compare_the_added_cpu_of_peers_with_ours() -> None:
    """A goal is kept or missed by the measured figures, and open where one is missing."""
    found = report(
        chef_router=result(added=0.05, cpu=0.1),
        litellm_router=result(added=4.0, cpu=4.0),
        chef_gateway=result(added=2.0, cpu=1.0),
    )
    assert [goal["met"] for goal in found["goals"]] == [True, True, False, None, True, True]
    assert "40.00 | kept" in standing(found)


def test_a_peer_that_was_not_measured_stays_in_the_table_with_the_reason() -> None:
    """Every contestant has a line; one without a result says why."""
    text = table(report(chef_router=result(added=0.05, cpu=0.1)))
    assert all(contestant.title in text for contestant in CONTESTANTS)
    assert text.count("not measured: not installed") == len(CONTESTANTS) - 1


def test_the_page_shows_the_results_that_are_kept() -> None:
    """The tables of the documentation are those of the kept JSON."""
    page = (ROOT / "support/docs/ROUTER_BENCHMARK.md").read_text()
    kept = json.loads((ROOT / "support/benchmarks/results/router.json").read_text())
    assert with_summary(page, kept) == page


@pytest.mark.slow
def test_the_benchmark_measures_our_router_and_gateway(tmp_path: Path) -> None:
    """A quick run drives both against its mock, without a failed request, and writes its JSON."""
    out = tmp_path / "router.json"
    chosen = [word for name in OURS for word in ("--only", name)]
    command = [
        sys.executable,
        "support/benchmarks/router.py",
        "--quick",
        *chosen,
        "--out",
        str(out),
    ]
    run = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
    measured = {c["name"]: c["result"] for c in json.loads(out.read_text())["contestants"]}
    assert set(measured) == set(OURS)
    for found in measured.values():
        assert found["failed"] == 0
        assert found["requests"] == QUICK.requests
        assert sum(found["split"]) > found["requests"]
        assert found["split_p_value"] > 1e-6
