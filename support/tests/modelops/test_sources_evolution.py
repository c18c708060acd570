"""Public examples that give way to the agent's own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.doubles.sources import read

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source, Wanted
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.evolution import (
    Evolution,
    Plan,
    Stage,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.opening import Sources
from agent_orchestrator.agents.infrastructure.modelops.usecases.filters import Filters
from agent_orchestrator.errors import DatasetError, SettingsError, UpstreamError
from agent_orchestrator.stores.defaults import load_dataset_defaults

AGENT = "feature_dev"
PLAN = Plan(
    own="own",
    public={"default": "public"},
    stages=[
        Stage(name="public", up_to=9, own_share=0.0),
        Stage(name="hybrid", up_to=99, own_share=0.2),
        Stage(name="own", up_to=None, own_share=1.0),
    ],
    public_examples=50,
    public_pool=300,
)


def evolved(own: int, *, seed: int = 0, public: int = 1000, name: str = "evolution") -> Source:
    """Open the mixture for an agent that has so many successful examples, and some failures."""

    def examples(kind: str, count: int, **metadata: object) -> tuple[Example, ...]:
        return tuple(
            Example(id=f"{kind}-{n}", inputs={"task": f"{kind} {n}"}, outputs={"answer": "x"},
                    metadata=metadata)
            for n in range(count)
        )  # fmt: skip

    def open_own(_name: str, _wanted: Wanted) -> Source:
        failed = examples("failed", 20, success=False)
        return Source("own", "own", (*examples("own", own, success=True), *failed))

    def open_public(_name: str, _wanted: Wanted) -> Source:
        rows = examples("public", public)
        return Source("public", "public", rows[: public // 2], rows[public // 2 :])

    def open_evolution(argument: str, wanted: Wanted) -> Source:
        return Evolution(PLAN, sources.open).open(argument, wanted)

    sources = Sources(
        {"own": open_own, "public": open_public, "other": open_public, "evolution": open_evolution}
    )
    return sources.open(name, Wanted(agent=AGENT, filters=Filters(success=True), seed=seed))


def counts(source: Source) -> dict[str, int]:
    """Return how many examples are public and how many the agent's own."""
    return dict(Counter(str(e.metadata["data_source"]) for e in read(source)))


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (0, {"public": 50}),
        (9, {"public": 50}),
        (10, {"own": 10, "public": 40}),
        (60, {"own": 60, "public": 240}),
        (99, {"own": 99, "public": 300}),
        (100, {"own": 100}),
        (5000, {"own": 5000}),
    ],
)
def test_the_number_of_own_examples_decides_the_mixture(own: int, expected: dict[str, int]) -> None:
    """Public only, then one in five its own, then its own only; failures do not count."""
    assert counts(evolved(own)) == expected


def test_the_draw_is_uniform_and_reproducible() -> None:
    """The same seed draws the same; another seed others; not only the first rows."""
    first, again, other = ([e.task for e in read(evolved(10, seed=s))] for s in (0, 0, 1))
    assert first == again
    assert first != other
    drawn = [int(task.split()[1]) for task in first if task.startswith("public")]
    assert drawn == sorted(drawn)
    assert max(drawn) > 150
    assert max(drawn) < 300


def test_the_origin_says_the_stage_and_the_numbers() -> None:
    """Whoever reads the data set's description knows what it is made of."""
    source = evolved(10)
    assert source.origin == "stage hybrid: 10 own examples of own, 40 of public"
    assert source.name == "feature-dev-hybrid"
    assert "no example for agent" in evolved(0).origin
    assert evolved(0, name="evolution:other").origin.endswith("50 of other")


def test_own_examples_that_cannot_be_read_are_not_none() -> None:
    """A broken service is an error; only an absent data set means that there are none."""

    def broken(_name: str, _wanted: Wanted) -> Source:
        raise UpstreamError("It broke off.")

    with pytest.raises(UpstreamError):
        Evolution(PLAN, broken).open("", Wanted(agent=AGENT))


def test_an_agent_without_a_public_source_is_told_how_to_name_one() -> None:
    """The error names the file and the other way."""

    def absent(_name: str, _wanted: Wanted) -> Source:
        raise DatasetError("There is none.")

    plan = Plan(own="own", public={}, stages=PLAN.stages, public_examples=5, public_pool=9)
    with pytest.raises(DatasetError, match=r"'feature_dev'.*evolution:<public source>"):
        Evolution(plan, absent).open("", Wanted(agent=AGENT))


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("[{name: a, up_to: 5, own_share: 0}]", "the last stage"),
        ("[{name: a, own_share: 0}, {name: b, own_share: 1}]", "the last stage"),
        ("[{name: a, up_to: 9, own_share: 0}, {name: b, up_to: 9, own_share: 1}, {name: c, own_share: 1}]", "must rise"),  # noqa: E501
        ("[{name: a, own_share: 2}]", "own_share"),
        ("[]", "stages"),
    ],
)  # fmt: skip
def test_stages_that_contradict_themselves_are_refused(
    tmp_path: Path, stages: str, message: str
) -> None:
    """The error names the file and the key."""
    path = tmp_path / "modelops" / "dataset_defaults.yaml"
    path.parent.mkdir()
    path.write_text(f"evolution: {{stages: {stages}}}\n")
    with pytest.raises(SettingsError, match=message):
        load_dataset_defaults(tmp_path)


def test_the_configuration_that_we_ship_is_valid() -> None:
    """Three stages: public, 80/20, own."""
    root = Path(__file__).resolve().parents[3]
    evolution = load_dataset_defaults(root / "config").evolution
    assert [stage.own_share for stage in evolution.stages] == [0, 0.2, 1]
