"""Tests that reward everything do not get into a data set."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from tests.doubles.planted_data import task

from agent_orchestrator.agents.infrastructure.modelops.datasets.code_tests import (
    pass_without_answer,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.drafts import Recipe
from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.errors import ConfigurationError
from agent_orchestrator.stores.defaults import SandboxDefaults

SANDBOX = SandboxDefaults(seconds=20)
RECIPE = Recipe(passes_unanswered=partial(pass_without_answer, sandbox=SANDBOX))
WEAK = {
    "of a builtin": "assert sum([1, 2]) == 3",
    "never called": "def test():\n    assert double(2) == 4",
    "an error swallowed": "try:\n    assert double(2) == 4\nexcept NameError:\n    pass",
    "short of the call": "assert True or double(2)",
    "over nothing": "assert [double(n) for n in ()] == []",
    "of their own": "def double(x): return 2 * x\nassert double(2) == 4",
    "empty but for a remark": "# double(2) == 4",
}
STRONG = {
    "a call": "assert double(2) == 4",
    "a call in a loop": "for n in range(3):\n    assert double(n) == 2 * n",
    "a builtin given the answer": "assert list(map(double, [1])) == [2]",
    "no Python": "assert double(2) = 4",
    "an ending of their own": "raise SystemExit(0)",
}


@pytest.mark.parametrize("tests", WEAK.values(), ids=WEAK)
def test_tests_that_pass_without_an_answer_are_known(tests: str) -> None:
    """Whatever makes them pass, they are run and found out."""
    assert pass_without_answer(tests, SANDBOX)


@pytest.mark.parametrize("tests", STRONG.values(), ids=STRONG)
def test_tests_that_need_an_answer_are_kept(tests: str) -> None:
    """Without one they fail, in the sandbox or by a look at them."""
    assert not pass_without_answer(tests, SANDBOX)


def source() -> Source:
    """Return eight examples with tests, the fourth with weak ones."""
    rows = [
        Example(
            id=f"{n}",
            inputs={"task": task(n)},
            outputs={"answer": task(n + 50), "tests": WEAK["of a builtin"] if n == 3 else "f()"},
        )
        for n in range(8)
    ]
    return Source("s", "s", rows)


def test_an_example_with_weak_tests_is_refused_with_a_finding(tmp_path: Path) -> None:
    """It is left out even where nobody asked for cleaning, and the report says why."""
    dataset = DatasetStore(tmp_path).build("feature_dev", source(), recipe=RECIPE)
    (finding,) = dataset.findings
    assert (finding.kind, finding.count, finding.action) == ("weak_tests", 1, "removed")
    assert finding.examples == ("3",)
    assert "1 example has tests that pass with no answer at all; it was left out" in finding.message
    assert sum(dataset.counts.values()) == 7


def test_where_there_is_no_sandbox_the_tests_are_reported_as_not_tried(
    tmp_path: Path,
) -> None:
    """Nothing is run without isolation, and what was not tried does not pass for checked."""

    def refuse(_tests: str) -> bool:
        raise ConfigurationError("the kernel has none")

    draft = DatasetStore(tmp_path).check(source(), recipe=Recipe(passes_unanswered=refuse))
    (finding,) = draft.findings
    assert (finding.kind, finding.count, finding.action) == ("untried_tests", 8, "kept")
    assert "(the kernel has none)" in finding.message
