import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.paired import PairedDifference, paired_difference
from agent_orchestrator.domain.scoring import DEFAULT_WEIGHTS, compare
from agent_orchestrator.errors import InputError

scores = st.floats(0.0, 1.0)
measurements = st.dictionaries(st.sampled_from([*DEFAULT_WEIGHTS, "style"]), scores)


@pytest.mark.parametrize(
    ("baseline", "candidate", "improvement", "recommendation"),
    [
        # 15 %: (0.92 − 0.80) / 0.80 is 15.000000000000002 in binary, and 15 after rounding
        (0.80, 0.92, 15.0, "deploy_canary"),
        (0.60, 0.69, 15.0, "deploy_canary"),
        (0.80, 0.92 + 8e-10, 15.0000001, "deploy"),
        (0.50, 0.5750000005, 15.0000001, "deploy"),
        (0.50, 0.57, 14.0, "deploy_canary"),
        (0.50, 1.0, 100.0, "deploy"),
        # 5 %
        (0.80, 0.84, 5.0, "needs_review"),
        (0.60, 0.63, 5.0, "needs_review"),
        (0.80, 0.84 + 8e-10, 5.0000001, "deploy_canary"),
        (0.80, 0.80, 0.0, "needs_review"),
        # −5 %
        (0.80, 0.76, -5.0, "needs_review"),
        (0.60, 0.57, -5.0, "needs_review"),
        (0.80, 0.76 - 8e-10, -5.0000001, "reject"),
        # −20 %
        (0.80, 0.64, -20.0, "reject"),
    ],
)
def test_the_thresholds_of_the_improvement(
    baseline: float, candidate: float, improvement: float, recommendation: str
) -> None:
    """> 15 deploys, > 5 goes to a canary, −5 … 5 is reviewed, < −5 is rejected."""
    found = compare({"accuracy": baseline}, {"accuracy": candidate})
    assert found.improvement_pct == improvement
    assert found.recommendation == recommendation


@pytest.mark.parametrize(
    ("loss", "recommendation"),
    [(0.64, "deploy"), (0.64 - 8e-10, "reject"), (0.80 * 0.79, "reject")],
)
def test_one_metric_may_lose_20_percent_but_no_more(loss: float, recommendation: str) -> None:
    """Exactly −20 % on one metric does not stand against a large gain on the others."""
    baseline = {"accuracy": 0.5, "workflow_completeness": 0.5, "mcp_integration_quality": 0.8}
    candidate = {
        "accuracy": 1.0,
        "workflow_completeness": 1.0,
        "mcp_integration_quality": loss,
    }
    found = compare(baseline, candidate)
    assert found.recommendation == recommendation
    if recommendation == "reject":
        assert "mcp_integration_quality" in found.reasons[0]
        assert "20 %" in found.reasons[0]


@pytest.mark.parametrize(
    ("score", "recommendation"), [(0.5, "deploy"), (0.5 - 1e-9, "reject"), (0.0, "reject")]
)
def test_a_score_under_one_half_is_rejected(score: float, recommendation: str) -> None:
    """0.5 itself is enough; below it no improvement helps."""
    found = compare({"accuracy": 0.2}, {"accuracy": score})
    assert found.recommendation == recommendation


@pytest.mark.parametrize(("score", "expected"), [(0.5, "deploy_canary"), (0.499, "reject")])
def test_without_a_baseline_a_canary_decides(score: float, expected: str) -> None:
    """There is no improvement, and a score under 0.5 is rejected all the same."""
    found = compare(None, {"accuracy": score})
    assert (found.recommendation, found.improvement_pct) == (expected, None)
    assert found.changes[0].baseline is None


@pytest.mark.parametrize("candidate", [{}, {"style": 0.1}])
def test_nothing_measured_is_not_deployed(candidate: dict[str, float]) -> None:
    """Without a single weighted score there is nothing that speaks for a canary."""
    assert compare(None, candidate).recommendation == "needs_review"


def test_the_mean_is_weighted_and_renormalised() -> None:
    """(30 · 10 % + 15 · 40 %) / 45 = 20 %."""
    found = compare(
        {"accuracy": 0.8, "latency_threshold": 0.5, "token_efficiency": 0.9},
        {"accuracy": 0.88, "latency_threshold": 0.7},
    )
    assert found.improvement_pct == 20.0
    assert found.recommendation == "deploy"
    text = " ".join(found.reasons)
    assert "token_efficiency was not measured for the candidate" in text
    assert "Not measured: workflow_completeness, mcp_integration_quality" in text


def test_a_zero_baseline_leaves_the_mean_and_is_named() -> None:
    """A percentage of 0 does not exist; the others decide."""
    found = compare(
        {"accuracy": 0.8, "token_efficiency": 0.0}, {"accuracy": 0.84, "token_efficiency": 0.9}
    )
    assert found.improvement_pct == 5.0
    assert any("token_efficiency of the baseline is 0" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [({"accuracy": 0.0}, {"accuracy": 0.9}), ({}, {"accuracy": 0.9}), ({"accuracy": 0.9}, {})],
)
def test_nothing_comparable_needs_review(
    baseline: dict[str, float], candidate: dict[str, float]
) -> None:
    """A zero baseline alone, or no metric that both have, settles nothing."""
    found = compare(baseline, candidate)
    assert (found.recommendation, found.improvement_pct) == ("needs_review", None)


def test_a_zero_baseline_does_not_hide_a_low_score() -> None:
    """The floor of 0.5 holds for every weighted score of the candidate."""
    assert compare({"accuracy": 0.0}, {"accuracy": 0.4}).recommendation == "reject"


def test_only_weighted_metrics_decide() -> None:
    """A reported metric may fall to 0 without effect; its change is shown with weight 0."""
    found = compare(
        {"accuracy": 0.5, "risk_assessment_accuracy": 1.0},
        {"accuracy": 0.6, "risk_assessment_accuracy": 0.0},
    )
    assert found.recommendation == "deploy"
    assert found.improvement_pct == 20.0
    assert [(c.metric, c.weight) for c in found.changes] == [
        ("accuracy", 30.0),
        ("risk_assessment_accuracy", 0.0),
    ]


def test_routing_sets_are_judged_by_their_routing() -> None:
    """agent_routing_accuracy takes accuracy's weight when no model has an accuracy."""
    found = compare({"agent_routing_accuracy": 0.8}, {"agent_routing_accuracy": 0.4})
    assert found.recommendation == "reject"
    assert found.changes[0].weight == 30.0
    both = compare(
        {"accuracy": 0.5, "agent_routing_accuracy": 0.8},
        {"accuracy": 0.6, "agent_routing_accuracy": 0.4},
    )
    assert both.recommendation == "deploy"
    assert {c.metric: c.weight for c in both.changes}["agent_routing_accuracy"] == 0.0


def test_own_weights_replace_the_defaults() -> None:
    """Two equal weights: the mean of +20 % and −10 %; nothing else decides."""
    found = compare(
        {"a": 0.5, "b": 0.8, "accuracy": 1.0},
        {"a": 0.6, "b": 0.72, "accuracy": 0.1},
        weights={"a": 1, "b": 1},
    )
    assert found.improvement_pct == 5.0
    assert found.recommendation == "needs_review"
    routed = compare(
        {"agent_routing_accuracy": 0.5}, {"agent_routing_accuracy": 0.6}, weights={"a": 1}
    )
    assert routed.recommendation == "needs_review"


def test_every_objection_is_named() -> None:
    """A candidate that fails two rules hears both."""
    found = compare({"accuracy": 0.9}, {"accuracy": 0.3})
    assert len([r for r in found.reasons if "accuracy" in r]) == 2
    assert "−66.7 %" in found.reasons[0]
    assert "0.3" in found.reasons[1]


def test_an_unsupported_change_is_said_to_be_so() -> None:
    """The interval goes with the change, and the reasons tell how many examples would settle it."""
    differences = [1.0, -1.0, 0.0, 1.0, 0.0, 0.0, -1.0, 1.0] * 5
    paired = paired_difference(differences, range(len(differences)))
    found = compare({"accuracy": 0.5}, {"accuracy": 0.625}, differences={"accuracy": paired})
    change = found.changes[0]
    assert (change.difference, change.interval, change.supported) == (0.125, paired.interval, False)
    assert found.recommendation == "deploy"  # the interval informs, the thresholds decide
    assert f"{paired.examples_needed} more examples" in found.reasons[-1]
    assert "includes 0" in found.reasons[-1]


def test_a_supported_or_unmeasured_change_needs_no_remark() -> None:
    """Only an interval that includes 0 is remarked on."""
    sure = PairedDifference(0.1, 0.01, (0.08, 0.12), 100, 100, None)
    unknown = PairedDifference(0.1, None, None, 1, 1, None)
    for paired, supported in ((sure, True), (unknown, None)):
        found = compare({"accuracy": 0.5}, {"accuracy": 0.6}, differences={"accuracy": paired})
        assert found.changes[0].supported is supported
        assert not any("supported" in reason for reason in found.reasons)


def test_no_number_of_examples_is_promised_for_no_change() -> None:
    """A mean of 0 is unsupported, and more of the same would not settle it."""
    paired = paired_difference([1.0, -1.0] * 10, range(20))
    found = compare({"accuracy": 0.5}, {"accuracy": 0.5}, differences={"accuracy": paired})
    assert "not supported" in found.reasons[-1]
    assert "more examples" not in found.reasons[-1]


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.01, 1.01, None, "0.5"])
@pytest.mark.parametrize("who", ["baseline", "candidate"])
def test_what_is_no_score_is_refused_by_name(value: object, who: str) -> None:
    """The message names the metric, the value and whose it is."""
    good, bad = {"accuracy": 0.5}, {"accuracy": 0.5, "style": value}
    pair = (bad, good) if who == "baseline" else (good, bad)
    with pytest.raises(InputError) as caught:
        compare(*pair)
    assert "'style'" in caught.value.message
    assert repr(value) in caught.value.message
    assert who in caught.value.message


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_a_weight_is_a_number_from_0_up(weight: float) -> None:
    """A negative weight would turn a loss into a gain."""
    with pytest.raises(InputError, match="accuracy"):
        compare({"accuracy": 0.5}, {"accuracy": 0.5}, weights={"accuracy": weight})


@given(st.none() | measurements, measurements)
def test_any_measurements_give_one_recommendation_with_its_reason(
    baseline: dict[str, float] | None, candidate: dict[str, float]
) -> None:
    """The rules cover everything, and every recommendation says why."""
    found = compare(baseline, candidate)
    assert found.recommendation in {"deploy", "deploy_canary", "needs_review", "reject"}
    assert found.reasons
    assert all(reason.endswith(".") for reason in found.reasons)


@given(measurements, measurements)
def test_a_deployed_candidate_has_no_bad_metric(
    baseline: dict[str, float], candidate: dict[str, float]
) -> None:
    """What goes to traffic has no weighted score under 0.5 and no loss of more than 20 %."""
    found = compare(baseline, candidate)
    if found.recommendation in {"deploy", "deploy_canary"}:
        for change in found.changes:
            if change.weight:
                assert change.candidate is None or change.candidate >= 0.5
                assert change.change_pct is None or change.change_pct >= -20.0


@given(st.dictionaries(st.sampled_from(list(DEFAULT_WEIGHTS)), st.floats(0.5, 1.0), min_size=1))
def test_an_equal_candidate_needs_review(both: dict[str, float]) -> None:
    """No change is no improvement."""
    found = compare(both, both)
    assert (found.recommendation, found.improvement_pct) == ("needs_review", 0.0)


@pytest.mark.parametrize(
    ("candidate", "shown"),
    [(0.92, "+15 %"), (0.92 + 8e-10, "+15.0000001 %"), (0.84, "+5 %"), (0.7, "−12.5 %")],
)
def test_a_reason_never_hides_on_which_side_of_a_limit_it_is(candidate: float, shown: str) -> None:
    """One decimal, but all of them where one would round onto the limit."""
    assert shown in compare({"accuracy": 0.8}, {"accuracy": candidate}).reasons[0]
