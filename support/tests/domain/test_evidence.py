import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.doubles.records import judged, outcome
from tests.doubles.splits import pair

from agent_orchestrator.domain.evidence import RolloutEvidence
from agent_orchestrator.domain.outcomes import Judged, Recorded
from agent_orchestrator.domain.rollout import (
    Guardrail,
    GuardrailEvidence,
    RolloutPolicy,
    RolloutVerdict,
)
from agent_orchestrator.domain.routing import CANDIDATE, STABLE
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import InputError

POLICY = RolloutPolicy(looks=4, look_every=50, stale_after_seconds=100.0)
QUALITY_ONLY = replace(POLICY, guardrails=("quality",))
ERROR_ONLY = replace(POLICY, guardrails=("error",))

Record = Recorded | Judged


def traffic(
    n: int, candidate_rate: float, stable_rate: float, *, weight: int = 20, start: int = 1
) -> Iterator[Record]:
    """Yield ``n`` flawless requests in the asked split with feedback of the given good rates.

    Evenly spread, without chance: of every 100 requests ``weight`` go to the candidate.
    """
    seen = {CANDIDATE: 0, STABLE: 0}
    rates = {CANDIDATE: candidate_rate, STABLE: stable_rate}
    for seq in range(start, start + n):
        arm = CANDIDATE if seq * weight // 100 > (seq - 1) * weight // 100 else STABLE
        seen[arm] += 1
        good = int(seen[arm] * rates[arm] + 1e-9) > int((seen[arm] - 1) * rates[arm] + 1e-9)
        yield outcome(seq, arm)
        yield judged(seq, arm, 1.0 if good else 0.0)


def fold(
    records: Sequence[Record] | Iterator[Record], policy: RolloutPolicy = POLICY, weight: int = 20
) -> RolloutEvidence:
    """Return the evidence of one step."""
    evidence = RolloutEvidence(policy, pair(weight), 0.0)
    evidence.fold(records)
    return evidence


def of(verdict: RolloutVerdict, name: Guardrail) -> GuardrailEvidence:
    """Return one guardrail's evidence."""
    return next(g for g in verdict.guardrails if g.guardrail == name)


def test_a_good_candidate_passes() -> None:
    """Every guardrail passed a look, the split is right, the outcomes are fresh."""
    verdict = fold(traffic(1000, 0.95, 0.80)).verdict(1000.0)
    assert verdict.verdict is Verdict.PASS
    assert "quality +0." in verdict.reason
    assert {g.verdict for g in verdict.guardrails} == {Verdict.PASS}
    assert (verdict.candidate_requests, verdict.stable_requests) == (200, 800)
    assert (verdict.asked_share, verdict.realised_share) == (0.2, 0.2)
    assert verdict.split_p_value == 1.0
    assert verdict.last_outcome_at == 1000.0


def test_an_equal_candidate_without_a_single_fault_passes() -> None:
    """No errors at all in both arms is no obstacle once there are enough requests."""
    evidence = fold(traffic(700, 1.0, 1.0))
    assert evidence.verdict(700.0).verdict is Verdict.INCONCLUSIVE
    evidence.fold(traffic(300, 1.0, 1.0, start=701))
    assert evidence.verdict(1000.0).verdict is Verdict.PASS


def test_bad_answers_fail_on_the_quality_guardrail() -> None:
    """The reason names the guardrail, both rates and the evidence that decided."""
    verdict = fold(traffic(500, 0.40, 0.90)).verdict(500.0)
    assert verdict.verdict is Verdict.FAIL
    assert verdict.reason.startswith("quality: 0.400 of 100 candidate judgements were good")
    assert "0.900 of 400 stable ones" in verdict.reason
    assert "reached 80" in verdict.reason
    assert of(verdict, "quality").e_value >= of(verdict, "quality").threshold == 80.0
    assert of(verdict, "error").verdict is not Verdict.FAIL


@pytest.mark.parametrize(
    ("guardrail", "fault"),
    [
        ("error", {"error": "timeout"}),
        ("invalid", {"valid": False}),
        ("latency", {"seconds": 5.1}),
    ],
)
def test_each_fault_fails_on_its_own_guardrail(guardrail: str, fault: dict[str, object]) -> None:
    """Half of the candidate's requests are at fault, none of the stable arm's."""
    records = [
        outcome(seq, CANDIDATE, **fault)
        if seq % 10 == 0
        else outcome(seq, CANDIDATE if seq % 10 == 5 else STABLE)
        for seq in range(1, 400)
    ]
    verdict = fold(records).verdict(400.0)
    assert verdict.verdict is Verdict.FAIL
    assert [g.guardrail for g in verdict.guardrails if g.verdict is Verdict.FAIL] == [guardrail]


def test_exactly_the_limit_is_not_slow() -> None:
    """5 seconds are good, more is not; and a score of 0.5 is good."""
    evidence = fold(
        [
            outcome(1, CANDIDATE, seconds=5.0),
            outcome(2, CANDIDATE, seconds=5.001),
            judged(1, CANDIDATE, 0.5),
            judged(2, CANDIDATE, 0.499),
        ]
    )
    verdict = evidence.verdict(2.0)
    assert of(verdict, "latency").candidate_rate == 0.5
    assert of(verdict, "quality").candidate_rate == 0.5


def test_what_was_not_answered_is_neither_slow_nor_invalid() -> None:
    """A time-out counts as an error, once; an answer that was not validated is not judged."""
    records = [
        outcome(1, CANDIDATE, error="timeout", seconds=30.0),
        outcome(2, CANDIDATE, valid=None),
    ]
    verdict = fold(records).verdict(2.0)
    counts = {g.guardrail: g.candidate_n for g in verdict.guardrails}
    assert counts == {"error": 2, "invalid": 0, "quality": 0, "latency": 1}


def test_only_first_attempts_of_the_two_arms_count() -> None:
    """What failed over to an arm was not dealt to it at random, and fallbacks are no arm."""
    records = [
        outcome(1, CANDIDATE, error="status"),
        outcome(2, STABLE, attempt=1, error="status"),
        outcome(3, "fallback", attempt=2),
        judged(1, "fallback", 0.0),
    ]
    verdict = fold(records).verdict(3.0)
    assert (verdict.candidate_requests, verdict.stable_requests) == (1, 0)
    assert of(verdict, "error").stable_n == 0
    assert of(verdict, "quality").candidate_n == 0


def test_no_data_is_inconclusive() -> None:
    """Neither a pass nor a fail, and it says what is missing."""
    verdict = fold([]).verdict(1e9)
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.reason == "No request for the candidate yet."
    assert (verdict.realised_share, verdict.split_p_value) == (None, None)
    assert {(g.candidate_rate, g.e_value, g.look) for g in verdict.guardrails} == {(None, 1.0, 0)}


def test_a_guardrail_without_feedback_holds_the_rollout() -> None:
    """The other guardrails pass, but nobody judged an answer."""
    outcomes = [r for r in traffic(1000, 1.0, 1.0) if isinstance(r, Recorded)]
    verdict = fold(outcomes).verdict(1000.0)
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.reason == "quality: no judgements for the candidate yet."
    some = [judged(seq, CANDIDATE, 1.0) for seq in range(1, 51)]
    verdict = fold([*outcomes, *some]).verdict(1000.0)
    assert verdict.reason == "quality: no judgements for the stable arm yet."


def test_before_the_first_look_it_says_what_is_missing() -> None:
    """A look needs 50 of the candidate's and, at 20 percent, 200 of the stable arm's."""
    verdict = fold(traffic(200, 1.0, 1.0), QUALITY_ONLY).verdict(200.0)
    assert verdict.reason == (
        "quality: the first look needs 50 judgements for the candidate and 200 for the stable arm; "
        "this step has 40 and 160."
    )


def test_a_look_that_did_not_pass_says_how_much_worse_it_may_be() -> None:
    """After the last planned look a person has to decide."""
    evidence = fold(traffic(500, 0.80, 0.84), QUALITY_ONLY)
    verdict = evidence.verdict(500.0)
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert "at look 2 of 4 the candidate may be 0." in verdict.reason
    assert "0.05 is allowed" in verdict.reason
    evidence.fold(traffic(2000, 0.80, 0.84, start=501))
    verdict = evidence.verdict(2500.0)
    assert of(verdict, "quality").look == 4
    assert "a person decides" in verdict.reason


def test_stale_evidence_is_inconclusive() -> None:
    """Without a request for the candidate for longer than the policy allows, nothing passes."""
    evidence = fold(traffic(1000, 0.95, 0.80))
    assert evidence.verdict(1100.0).verdict is Verdict.PASS
    verdict = evidence.verdict(1101.0)
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.reason == "Stale: no request for the candidate for 101 s."


def test_a_failure_does_not_grow_stale() -> None:
    """Evidence of harm stands, however old."""
    assert fold(traffic(500, 0.4, 0.9)).verdict(1e9).verdict is Verdict.FAIL


def test_a_split_that_was_not_asked_for_never_passes() -> None:
    """The arms cannot be compared when something else than chance chose between them."""
    verdict = fold(traffic(1000, 0.95, 0.80, weight=30)).verdict(1000.0)
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert "300 of 1000 tasks went to the candidate, 20 % were asked for" in verdict.reason
    assert verdict.split_p_value is not None
    assert verdict.split_p_value < 0.001


def test_the_split_is_counted_in_tasks() -> None:
    """A task of many requests is one draw, and chatty tasks are no mismatch."""
    records = [
        outcome(seq, CANDIDATE if seq % 5 == 0 else STABLE, task=f"t{seq % 10}")
        for seq in range(1, 1001)
    ]
    verdict = fold(records).verdict(1000.0)
    assert verdict.realised_share == 0.2
    assert verdict.details["step_tasks"] == 10


def test_a_new_step_counts_anew_for_its_looks_but_goes_on_betting() -> None:
    """Looks are not pooled over steps of different weights, the evidence of harm is."""
    evidence = fold(traffic(1000, 0.95, 0.80), QUALITY_ONLY)
    assert evidence.verdict(1000.0).verdict is Verdict.PASS
    before = of(evidence.verdict(1000.0), "quality")
    evidence.start_step(pair(50), 1000.0)
    verdict = evidence.verdict(1000.0)
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert (verdict.asked_share, verdict.realised_share) == (0.5, None)
    assert "needs 50 judgements for the candidate and 50 for the stable arm" in verdict.reason
    assert of(verdict, "quality") == replace(
        before, verdict=Verdict.INCONCLUSIVE, look=0, lower_bound=None
    )
    evidence.fold(traffic(400, 0.95, 0.80, weight=50, start=1001))
    verdict = evidence.verdict(1400.0)
    assert verdict.verdict is Verdict.PASS
    assert verdict.candidate_requests == 400


def test_looks_are_immune_to_simpsons_paradox() -> None:
    """Good times at 20 percent, bad times at 50: pooled, an equal candidate would look worse."""
    evidence = fold(traffic(1000, 1.0, 1.0), QUALITY_ONLY)
    evidence.start_step(pair(50), 1000.0)
    evidence.fold(traffic(3000, 0.5, 0.5, weight=50, start=1001))
    quality = of(evidence.verdict(4000.0), "quality")
    assert quality.candidate_rate is not None
    assert quality.stable_rate is not None
    assert quality.candidate_rate < quality.stable_rate - 0.1
    assert quality.e_value < 10.0
    assert quality.lower_bound is not None
    assert quality.lower_bound > -0.1


def test_harm_is_found_across_steps() -> None:
    """Neither step alone has enough evidence; together they have."""
    first, second = (
        list(traffic(100, 0.75, 0.95)),
        list(traffic(30, 0.6, 0.95, weight=50, start=101)),
    )
    evidence = fold(first, QUALITY_ONLY)
    assert evidence.verdict(100.0).verdict is Verdict.INCONCLUSIVE
    evidence.start_step(pair(50), 100.0)
    evidence.fold(second)
    assert evidence.verdict(130.0).verdict is Verdict.FAIL
    assert fold(second, QUALITY_ONLY, 50).verdict(130.0).verdict is Verdict.INCONCLUSIVE


def test_the_guard_period_watches_against_the_frozen_stable_rate() -> None:
    """No stable traffic is left; a degradation fails, health is no proof."""
    evidence = fold(traffic(1000, 0.95, 0.90), QUALITY_ONLY)
    evidence.start_step(pair(100), 1000.0)
    evidence.fold(traffic(300, 0.95, 0.0, weight=100, start=1001))
    verdict = evidence.verdict(1300.0)
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert "guard period" in verdict.reason
    assert (verdict.asked_share, verdict.split_p_value) == (1.0, None)
    guard = of(verdict, "quality")
    assert (guard.candidate_n, guard.stable_n) == (300, 800)
    assert guard.stable_rate == 0.9
    evidence.fold(traffic(60, 0.4, 0.0, weight=100, start=1301))
    verdict = evidence.verdict(1360.0)
    assert verdict.verdict is Verdict.FAIL
    assert "0.900 of 800 stable ones" in verdict.reason


def test_what_the_stable_arm_still_finishes_changes_no_reference() -> None:
    """The reference is frozen when the guard period begins."""
    evidence = fold(traffic(1000, 0.95, 0.90), QUALITY_ONLY)
    evidence.start_step(pair(100), 1000.0)
    evidence.fold([judged(seq, STABLE, 0.0) for seq in range(1001, 1100)])
    assert of(evidence.verdict(1000.0), "quality").stable_rate == 0.9


@pytest.mark.untraced
def test_an_equal_candidate_survives_the_guard_period() -> None:
    """150 rollouts, 1,000 judgements each: the lower bound and the margin keep alarms rare."""
    chance = random.Random(17)  # noqa: S311 - a simulation
    alarms = 0
    for _ in range(150):
        evidence = RolloutEvidence(QUALITY_ONLY, pair(20), 0.0)
        evidence.fold(judged(seq, STABLE, chance.random() < 0.9) for seq in range(50))
        evidence.start_step(pair(100), 0.0)
        evidence.fold(judged(seq, CANDIDATE, chance.random() < 0.9) for seq in range(50, 1050))
        alarms += of(evidence.verdict(0.0), "quality").verdict is Verdict.FAIL
    assert alarms <= 2


def test_without_a_stable_arm_the_guard_period_has_no_reference() -> None:
    """An immediate rollout, or a stable arm as bad as the margin: nothing can be worse."""
    evidence = RolloutEvidence(QUALITY_ONLY, pair(100), 0.0)
    evidence.fold(traffic(100, 0.0, 0.0, weight=100))
    verdict = evidence.verdict(100.0)
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert "nothing of the stable arm to compare with" in verdict.reason
    useless = fold(traffic(100, 0.5, 0.0), QUALITY_ONLY)
    useless.start_step(pair(100), 100.0)
    useless.fold(traffic(100, 0.0, 0.0, weight=100, start=101))
    assert useless.verdict(200.0).verdict is Verdict.INCONCLUSIVE


def test_guardrails_that_are_not_configured_are_not_watched() -> None:
    """Feedback and slowness are ignored where only errors are watched."""
    slow = (
        outcome(seq, CANDIDATE if seq % 5 == 0 else STABLE, seconds=9) for seq in range(1, 1001)
    )
    bad = (judged(seq, CANDIDATE, 0.0) for seq in range(1, 300))
    verdict = fold(chain(slow, bad), ERROR_ONLY).verdict(1000.0)
    assert verdict.verdict is Verdict.PASS
    assert [g.guardrail for g in verdict.guardrails] == ["error"]
    assert verdict.guardrails[0].threshold == 20.0


@pytest.mark.parametrize("weight", [101, -1])
def test_a_step_needs_traffic(weight: int) -> None:
    """A weight outside 1..100 is refused."""
    with pytest.raises(InputError):
        RolloutEvidence(POLICY, pair(weight), 0.0)


arms = st.sampled_from([CANDIDATE, STABLE, STABLE, "fallback"])
histories = st.lists(
    st.tuples(
        arms,
        st.sampled_from([None, None, None, "timeout"]),
        st.booleans(),
        st.floats(0, 10),
        st.integers(0, 1),
        st.none() | st.floats(0, 1),
    ),
    max_size=300,
)


def records_of(history: list[tuple]) -> list[Record]:
    """Return the records of a history that hypothesis made up."""
    records: list[Record] = []
    for seq, (arm, error, valid, seconds, attempt, score) in enumerate(history):
        records.append(
            outcome(seq, arm, error=error, valid=valid, seconds=seconds, attempt=attempt)
        )
        if score is not None:
            records.append(judged(seq, arm, score))
    return records


@given(histories, st.lists(st.integers(0, 600), max_size=8), st.integers(0, 300))
def test_batches_of_any_size_give_the_same_evidence(
    history: list[tuple], cuts: list[int], step: int
) -> None:
    """One fold or many, verdicts asked for in between or not, records read twice: no difference."""
    policy = replace(POLICY, look_every=5)
    records = records_of(history)
    before, after = records[:step], records[step:]
    once = fold(before, policy)
    once.start_step(pair(50), 1.0)
    once.fold(after)
    pieces = RolloutEvidence(policy, pair(20), 0.0)
    for part, next_step in ((before, True), (after, False)):
        edges = [0, *sorted(min(cut, len(part)) for cut in cuts), len(part)]
        for low, high in pairwise(edges):
            pieces.fold(part[low:high])
            pieces.verdict(1.0)
        pieces.fold(part)
        if next_step:
            pieces.start_step(pair(50), 1.0)
    assert once.verdict(500.0) == pieces.verdict(500.0)


@given(histories)
def test_outcomes_and_feedback_may_be_folded_one_after_the_other(history: list[tuple]) -> None:
    """Each has its own order; how the two are interleaved does not matter."""
    records = records_of(history)
    apart = (
        [r for r in records if isinstance(r, Recorded)],
        [r for r in records if isinstance(r, Judged)],
    )
    assert fold(records).verdict(500.0) == fold([*apart[1], *apart[0]]).verdict(500.0)


@given(histories)
def test_a_pass_has_all_it_takes(history: list[tuple]) -> None:
    """Whatever happened: PASS only with data, a passed look on every guardrail, and no failure."""
    policy = replace(POLICY, look_every=2, looks=10, margin=0.5, alpha=0.4)
    verdict = fold(records_of(history), policy).verdict(300.0)
    if verdict.verdict is Verdict.PASS:
        assert all(g.candidate_n and g.stable_n and g.look for g in verdict.guardrails)
        assert all(g.lower_bound > -policy.margin for g in verdict.guardrails)
        assert all(g.e_value < g.threshold for g in verdict.guardrails)
    if any(g.e_value >= g.threshold for g in verdict.guardrails):
        assert verdict.verdict is Verdict.FAIL


def served(n: int, slowness: float, *, spread: float = 0.5) -> list[Record]:
    """Return ``n`` requests; the candidate has a fifth and takes ``slowness`` times as long."""
    chance = random.Random(9)  # noqa: S311 - simulated traffic
    records: list[Record] = []
    for seq in range(1, n + 1):
        arm = CANDIDATE if seq % 5 == 0 else STABLE
        seconds = 0.1 * chance.lognormvariate(0.0, spread)
        records.append(outcome(seq, arm, seconds=seconds * (slowness if arm == CANDIDATE else 1.0)))
    return records


SLOWDOWN = replace(POLICY, guardrails=("latency", "slowdown"))


def test_a_candidate_slower_than_what_serves_fails_within_the_limit() -> None:
    """Three times as slow, and nobody ever waits for five seconds."""
    verdict = fold(served(1500, 3.0), SLOWDOWN).verdict(1500.0)
    assert verdict.verdict is Verdict.FAIL
    assert verdict.reason.startswith("slowdown: ")
    assert of(verdict, "latency").verdict is not Verdict.FAIL
    assert of(verdict, "latency").candidate_rate == 1.0


def test_a_candidate_may_be_as_much_slower_as_is_tolerated() -> None:
    """A tenth slower is no harm; the first 40 stable answers only teach."""
    verdict = fold(served(1500, 1.1), SLOWDOWN).verdict(1500.0)
    assert verdict.verdict is Verdict.PASS
    assert of(verdict, "slowdown").stable_n == of(verdict, "latency").stable_n - 40


def test_slowness_is_judged_alike_in_batches_of_any_size() -> None:
    """The reference moves with the records, not with the reading of them."""
    whole = RolloutEvidence(SLOWDOWN, pair(20), 0.0)
    parts = RolloutEvidence(SLOWDOWN, pair(20), 0.0)
    records = served(900, 1.4)
    whole.fold(records)
    for start in range(0, 900, 7):
        parts.fold(records[start : start + 7])
    assert whole.verdict(900.0) == parts.verdict(900.0)


def test_the_difference_has_an_interval_that_holds_at_every_moment() -> None:
    """Of the rates that are shown; none without data or for pairs."""
    found = of(fold(traffic(500, 0.6, 0.8)).verdict(500.0), "quality")
    low, high = found.difference(0.05)
    assert low < -0.2 < high < 0.05
    assert replace(found, candidate_rate=None, candidate_n=0).difference(0.05) is None
    assert replace(found, guardrail="preference").difference(0.05) is None


def test_who_left_after_the_limit_waited_too_long_and_who_left_before_says_nothing() -> None:
    """An abandoned attempt is dealt out and slow beyond the limit; it is never an error."""
    records = [
        outcome(1, CANDIDATE, error="abandoned", seconds=5.1),
        outcome(2, CANDIDATE, error="abandoned", seconds=4.9),
        outcome(3, CANDIDATE),
    ]
    verdict = fold(records).verdict(3.0)
    counts = {g.guardrail: (g.candidate_n, g.candidate_rate) for g in verdict.guardrails}
    none = (0, None)
    assert counts == {
        "error": (1, 1.0),
        "invalid": (1, 1.0),
        "quality": none,
        "latency": (2, 0.5),
    }
    assert (verdict.candidate_requests, verdict.details["step_tasks"]) == (3, 3)


@pytest.mark.parametrize("guardrail", ["latency", "slowdown"])
def test_an_arm_that_hangs_until_its_clients_leave_fails(guardrail: Guardrail) -> None:
    """Nobody ever got an answer or an error from it, and the verdict says what was seen."""
    policy = replace(POLICY, guardrails=(guardrail,))
    records = [
        outcome(seq, CANDIDATE, error="abandoned", seconds=6.0)
        if seq % 5 == 0
        else outcome(seq, STABLE, seconds=0.2 + seq % 7 / 100)
        for seq in range(1, 300)
    ]
    verdict = fold(records, policy).verdict(300.0)
    assert verdict.verdict is Verdict.FAIL
    assert verdict.reason.startswith(f"{guardrail}: 0.000 of ")


def test_a_candidate_whose_clients_leave_early_never_passes() -> None:
    """What it did answer is flawless, but those who left are missing from it."""
    policy = replace(POLICY, guardrails=("error", "latency"))
    records = [
        outcome(seq, CANDIDATE if seq % 5 == 0 else STABLE)
        if seq % 20
        else outcome(seq, CANDIDATE, error="abandoned", seconds=2.0)
        for seq in range(1, 2000)
    ]
    verdict = fold(records, policy).verdict(2000.0)
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.reason.startswith(
        "Clients gave up 99 of 399 requests of the candidate, 0 of 1600 of the stable arm (p = "
    )


def test_clients_who_leave_both_arms_alike_hold_nothing_up() -> None:
    """Of both arms every tenth request is abandoned early."""
    policy = replace(POLICY, guardrails=("error", "latency"))
    records = [
        outcome(
            seq,
            CANDIDATE if seq % 5 == 0 else STABLE,
            error="abandoned" if seq // 5 % 10 == 0 else None,
            seconds=1.0,
        )
        for seq in range(1, 2000)
    ]
    assert fold(records, policy).verdict(2000.0).verdict is Verdict.PASS


@pytest.mark.untraced
@pytest.mark.parametrize(
    ("slower", "patience"),
    [(1.0, (0.5, 2.0)), (1.25, (0.5, 60.0)), (1.25, (2.0, 2.0))],
    ids=["equal", "at the tolerance, patient or not", "at the tolerance, leaving at the limit"],
)
def test_clients_who_leave_do_not_make_false_alarms(
    slower: float, patience: tuple[float, float]
) -> None:
    """Of 200 rollouts whose candidate is within the tolerance at most 5 % are rolled back."""
    policy = replace(POLICY, guardrails=("slowdown",), alpha=0.05)
    alarms = 0
    for run in range(200):
        chance = random.Random(run)  # noqa: S311
        evidence = RolloutEvidence(policy, pair(50), 0.0)
        for seq in range(1, 301):
            arm = chance.choice((CANDIDATE, STABLE))
            took = chance.expovariate(1.0) * (slower if arm == CANDIDATE else 1.0)
            waits = chance.choice(patience)
            error = "abandoned" if took > waits else None
            evidence.fold([outcome(seq, arm, error=error, seconds=min(took, waits))])
        alarms += evidence.verdict(300.0).verdict is Verdict.FAIL
    assert alarms <= 10
