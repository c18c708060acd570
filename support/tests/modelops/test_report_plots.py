"""The reports' plots and wording."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_orchestrator.agents.infrastructure.modelops.reports import plots, wording
from agent_orchestrator.agents.infrastructure.modelops.reports.plots import (
    TimelineEvent,
    TimelinePoint,
)
from agent_orchestrator.domain.scoring import MetricChange
from agent_orchestrator.domain.verdict import Verdict


def texts(svg: str) -> list[str]:
    """Return the texts of a well-formed SVG."""
    root = ET.fromstring(svg)  # noqa: S314 - our own
    return ["".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text")]


def change(
    metric: str, baseline: float | None, candidate: float | None, **more: object
) -> MetricChange:
    """Return a metric's change."""
    values = {"change_pct": None, "weight": 1.0} | more
    return MetricChange(metric=metric, baseline=baseline, candidate=candidate, **values)  # type: ignore[arg-type]


def test_the_comparison_shows_scores_and_differences_as_numbers() -> None:
    """Every metric has its row, its scores and its difference; the interval's colour its sense."""
    svg = plots.metric_comparison(
        [
            change("accuracy", 0.5, 0.9, difference=0.4, interval=(0.3, 0.5), supported=True),
            change(
                "token_efficiency", 0.9, 0.7, difference=-0.2, interval=(-0.3, -0.1), supported=True
            ),
            change("latency_threshold", 1.0, 1.0, difference=0.0),
            change("risk_assessment_accuracy", None, 0.25),
        ]
    )
    shown = texts(svg)
    for text in ("accuracy", "0.500 → 0.900", "+0.400", "−0.200", "0.000", "0.250"):
        assert text in shown
    assert "var(--good" in svg
    assert "var(--bad" in svg


def test_a_lone_candidate_has_no_differences() -> None:
    """Without a baseline there is one panel."""
    assert "difference, 95 % interval" not in texts(
        plots.metric_comparison([change("accuracy", None, 0.9)])
    )


def test_the_loss_curve_ends_with_its_value() -> None:
    """The last smoothed loss is written beside the curve."""
    losses = [(step, 2.0 / step) for step in range(1, 200)]
    assert "0.010" in texts(plots.loss_curve(losses))


@pytest.mark.parametrize("losses", [[], [(1, 0.5)], [(1, 0.5), (1, 0.5)]])
def test_a_short_loss_curve_is_drawn_too(losses: list[tuple[int, float]]) -> None:
    """None, one, or equal steps do no harm."""
    assert "step" in texts(plots.loss_curve(losses))


POINTS = [
    TimelinePoint(float(t), 0.2 if t < 5 else 0.5, 0.19, {"quality": 1.2**t, "error": 0.0})
    for t in range(10)
]


def test_the_timeline_shows_decisions_and_the_threshold() -> None:
    """Guardrails, threshold and every event are named; vanishing evidence stays on the scale."""
    events = [
        TimelineEvent(0.0, "started", Verdict.INCONCLUSIVE),
        TimelineEvent(5.0, "50 %", Verdict.PASS),
        TimelineEvent(9.0, "rolled back", Verdict.FAIL),
    ]
    shown = texts(plots.canary_timeline(POINTS, events, 20))
    for text in ("quality", "error", "rolls back at 20", "started", "50 %", "rolled back"):
        assert text in shown


def test_the_difference_is_that_of_the_guardrail_with_the_most_evidence() -> None:
    """Where it is known; a point without it does no harm."""
    known = [
        replace(point, difference={"error": (-0.2, 0.1), "quality": (-0.5, -0.1)})
        for point in POINTS[1:]
    ]
    shown = " ".join(texts(plots.canary_timeline([POINTS[0], *known], [], 20)))
    assert "quality: candidate − stable in points" in shown
    without = " ".join(texts(plots.canary_timeline(POINTS, [], 20)))
    assert "candidate − stable" not in without


def test_an_empty_timeline_is_drawn_too() -> None:
    """A rollout that saw nothing has its threshold and no lines."""
    assert "rolls back at 20" in texts(plots.canary_timeline([], [], 20))


def test_events_at_one_time_do_not_lie_upon_each_other() -> None:
    """Texts that would overlap get lines of their own; distant ones share one."""
    close = [TimelineEvent(5.0 + n / 100, "promoted", Verdict.PASS) for n in range(3)]
    far = [TimelineEvent(at, "promoted", Verdict.PASS) for at in (1.0, 5.0, 9.0)]
    assert plots._levels(close, 10.0) == [0, 1, 2]
    assert plots._levels(far, 10.0) == [0, 0, 0]


def test_latencies_of_one_model_or_one_call_are_drawn() -> None:
    """No baseline, a single call and a limit far away do no harm."""
    assert "limit" in texts(plots.latency_distribution([], [0.1, 0.2], 0.15))
    assert "limit" not in texts(plots.latency_distribution([0.1], [0.2], 5.0))


@settings(max_examples=10, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_any_label_gives_a_well_formed_plot(name: str) -> None:
    """Whatever a category is called, the SVG parses and shows it as one text."""
    svg = plots.confusion({(name, name): 3}, [name], [name, "other"], name)
    assert not wording.label(name) or wording.label(name) in texts(svg)
    svg = plots.category_accuracy({name: 0.5}, {name: 1.0}, {name: 3})
    assert any(wording.label(name) in text for text in texts(svg))


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        (0.9471, {}, "0.947"),
        (0.9471, {"signed": True}, "+0.947"),
        (-0.25, {"digits": 2}, "−0.25"),
        (-0.00001, {"signed": True}, "0.000"),
        (None, {}, "–"),
    ],
)
def test_numbers(value: float | None, options: dict[str, int], text: str) -> None:
    """A true minus, no negative zero, a dash for what was not measured."""
    assert wording.number(value, **options) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0004, "0.4 ms"),
        (0.0146, "14.6 ms"),
        (0.25, "0.25 s"),
        (12.34, "12.3 s"),
        (250, "4.17 min"),
    ],
)
def test_durations(value: float | None, text: str) -> None:
    """Three significant digits in the unit that fits."""
    assert wording.seconds(value).replace("\xa0", " ") == text


def test_words() -> None:
    """Shares, thousands and plurals read as a person writes them."""
    assert wording.percent(0.947).replace("\xa0", " ") == "94.7 %"
    assert wording.thousands(1234567).replace("\u202f", " ") == "1 234 567"
    assert (wording.plural(1, "call"), wording.plural(3, "call")) == ("1 call", "3 calls")


@given(st.text(max_size=200))
def test_visible_texts_hide_and_reorder_nothing(text: str) -> None:
    """No control, format or separator character is left but new line, tab and joiners."""
    shown = wording.visible(text)
    kept = set("\n\t\u200c\u200d")
    assert all(
        c in kept or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in shown
    )
    assert re.fullmatch(r".{0,28}", wording.label(text))
