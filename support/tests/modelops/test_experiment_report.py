"""An experiment's report, as people read it."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent_orchestrator.agents.infrastructure.modelops.experiments import content
from agent_orchestrator.agents.infrastructure.modelops.experiments.report import (
    load_experiment,
    write_experiment,
)
from agent_orchestrator.domain.experiments import ArmResult, Contrast, Estimate, ExperimentReport


def arm(mode: str, accuracy: float, **changes: object) -> ArmResult:
    """Return an arm of this accuracy."""
    usual = ArmResult(
        model="org/m",
        mode=mode,
        scores={"accuracy": Estimate(accuracy, (accuracy - 0.1, accuracy + 0.1), 40)},
        calls=40,
        failed_calls=0,
        compared=True,
        cached_calls=0,
        avg_latency_s=1.0,
        avg_tokens=100.0,
        cost_usd=0.5,
    )
    return replace(usual, **changes)


def contrast(mode: str, difference: float, *, supported: bool) -> Contrast:
    """Return an arm's comparison with the baseline."""
    return Contrast(
        arm=f"org/m · {mode}",
        metric="accuracy",
        difference=difference,
        interval=(difference - 0.05, difference + 0.05),
        p_value=0.001,
        p_adjusted=0.002,
        supported=supported,
        examples_needed=None if supported else 120,
    )


def report(*contrasts: Contrast, **changes: object) -> ExperimentReport:
    """Return a report of a baseline and the arms that are compared with it."""
    arms = [arm(c.arm.split(" · ")[1], 0.5 + c.difference) for c in contrasts]
    usual = ExperimentReport(
        name="modes",
        description="Which one?",
        examples="riddles",
        examples_hash="ab" * 32,
        n_examples=40,
        n_groups=40,
        repetitions=1,
        baseline="org/m · base",
        arms=(arm("base", 0.5), *arms),
        contrasts=contrasts,
        by_category={},
        categories={},
        failures=(),
        run_at="2026-01-01T12:00:00+00:00",
    )
    return replace(usual, **changes)


@pytest.mark.parametrize(
    ("found", "headline", "tone"),
    [
        (report(), "org/m · base, measured alone.", ""),
        (
            report(contrast("a", 0.2, supported=True)),
            "org/m · a does better than org/m · base.",
            "good",
        ),
        (
            report(contrast("a", 0.2, supported=True), contrast("b", 0.1, supported=True)),
            "org/m · a, and 1 more arm do better than org/m · base.",
            "good",
        ),
        (
            report(contrast("a", -0.2, supported=True)),
            "Nothing does better than org/m · base; 1 arm is worse.",
            "",
        ),
        (
            report(contrast("a", 0.02, supported=False)),
            "No arm can be told from org/m · base yet.",
            "unsure",
        ),
    ],
)
def test_the_headline_says_only_what_is_settled(
    found: ExperimentReport, headline: str, tone: str
) -> None:
    """A larger mean that is not supported is no headline."""
    assert (content.headline(found), content.tone(found)) == (headline, tone)


def test_the_lead_says_how_many_more_examples() -> None:
    """Where the best arm is not settled."""
    text = content.lead(report(contrast("a", 0.02, supported=False)))
    assert "That is not settled; about 120 more examples would." in text
    assert "+2.0 points beside the baseline (−3.0 … +7.0, corrected for 1 comparison)" in text


def test_costs_have_a_direction_and_a_change() -> None:
    """In brackets against the baseline; an unknown price is a dash."""
    found = report(contrast("a", 0.2, supported=True))
    dear = replace(found.arms[1], avg_latency_s=2.0, avg_tokens=50.0, cost_usd=None)
    rows = content.cost_rows(replace(found, arms=(found.arms[0], dear)))
    assert rows[0][1:4] == ["2\xa0s (+100\xa0%)", "50 (−50\xa0%)", "–"]
    assert all("↓" in column for column in content.COST_COLUMNS[1:5])


def test_what_models_and_templates_wrote_is_text(tmp_path: Path) -> None:
    """Nothing of it is markup, in the page nor in its picture."""
    evil = "<script>alert(1)</script>"
    found = report(
        contrast(evil, 0.2, supported=True),
        name=f"x{evil}",
        description=evil,
        failures=(("org/m · base", evil, f"{evil} | `x`"),),
        by_category={evil: {"org/m · base": 0.5}, "b": {}},
    )
    paths = write_experiment(found, tmp_path)
    assert "<script" not in paths["html"].read_text("utf-8")
    assert "<script" not in paths["markdown"].read_text("utf-8").replace("\\<", "")
    assert load_experiment(paths["json"]) == found
