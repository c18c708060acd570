"""Evidence on mirrored arms, on members of an ensemble and on several candidates."""

import random
from collections.abc import Iterable
from dataclasses import replace

import pytest
from tests.doubles.records import judged, outcome
from tests.doubles.splits import pair

from agent_orchestrator.domain.evidence import RolloutEvidence
from agent_orchestrator.domain.outcomes import ErrorKind, Judged, Recorded
from agent_orchestrator.domain.rollout import RolloutPolicy, RolloutVerdict
from agent_orchestrator.domain.routing import Arm, Strategy
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.domain.watches import PreferenceWatch

POLICY = RolloutPolicy(guardrails=("error",), looks=4, look_every=20, margin=0.2)
PAIRWISE = replace(POLICY, guardrails=("error", "preference"))
SHADOW = pair(0, mirror=100)
THREE = (
    Arm("stable", "a/b", weight=34),
    Arm("challenger_1", "a/c", weight=33),
    Arm("challenger_2", "a/d", weight=33),
)


def preference(seq: int, score: float, outcome_seq: int | None = None) -> Judged:
    """Compare the candidate's answer with the served one."""
    return judged(seq, "candidate", score, outcome_seq=outcome_seq, kind="preference")


def quality(seq: int, arm: str, good: bool, outcome_seq: int) -> Judged:
    """Judge an answer."""
    return judged(seq, arm, float(good), outcome_seq=outcome_seq)


def found(
    policy: RolloutPolicy,
    arms: tuple[Arm, ...],
    records: Iterable[Recorded | Judged],
    strategy: Strategy = "canary",
) -> RolloutVerdict:
    """Return the verdict at second 1,000."""
    evidence = RolloutEvidence(policy, arms, 0.0, strategy)
    evidence.fold(records)
    return evidence.verdict(1000.0)


def copies(n: int, error: ErrorKind | None = None) -> list[Recorded]:
    """Record requests that the stable arm answered and the candidate got copies of."""
    served = [outcome(2 * i, "stable") for i in range(n)]
    mirrored = [
        outcome(2 * i + 1, "candidate", role="mirror", attempt=1, error=error) for i in range(n)
    ]
    return [record for both in zip(served, mirrored, strict=True) for record in both]


def test_a_mirrored_arm_is_judged_by_its_copies() -> None:
    """Copies pass and fail it; no task is its own, so the split is not in doubt."""
    verdict = found(POLICY, SHADOW, copies(60), "shadow")
    assert (verdict.verdict, verdict.realised_share) == (Verdict.PASS, 0.0)
    assert (verdict.candidate_requests, verdict.stable_requests) == (60, 60)
    assert found(POLICY, SHADOW, copies(60, "timeout"), "shadow").verdict is Verdict.FAIL


def test_what_an_arm_with_traffic_gets_as_a_copy_does_not_count() -> None:
    """Only what was dealt to it."""
    verdict = found(POLICY, pair(20), copies(60))
    assert (verdict.candidate_requests, verdict.stable_requests) == (0, 60)


def test_members_are_judged_by_what_they_were_asked() -> None:
    """The stable arm is a member too, and the ensemble's own outcome is none of theirs."""
    records = []
    for i in range(60):
        records += [
            outcome(4 * i, "stable", role="member", attempt=1),
            outcome(4 * i + 1, "challenger_1", role="member", attempt=2, error="status"),
            outcome(4 * i + 2, "challenger_2", role="member", attempt=3),
            outcome(4 * i + 3, "stable"),
        ]
    verdict = found(POLICY, THREE, records, "ensemble")
    assert verdict.stable_requests == 60
    assert [arm.verdict for arm in verdict.arms] == [Verdict.FAIL, Verdict.PASS]


def test_a_shadow_that_loses_its_pairs_fails() -> None:
    """The reason counts the decisive ones."""
    records = [*copies(60), *(preference(i, 0.0) for i in range(1, 60, 2))]
    verdict = found(PAIRWISE, SHADOW, records, "shadow")
    assert verdict.verdict is Verdict.FAIL
    assert "0.000 of 30 decisive pairs were won by the candidate" in verdict.reason


def test_ties_are_no_evidence_of_harm_and_evidence_of_no_harm() -> None:
    """The e-process does not move; the look passes."""
    watch = PreferenceWatch("preference", PAIRWISE)
    for _ in range(100):
        watch.observe(0.5)
    assert watch.process.e_value == 1.0
    assert watch.passed
    assert (watch.evidence().candidate_n, watch.evidence().look) == (0, 4)


def test_without_pairs_a_shadow_does_not_pass() -> None:
    """It says how many the first look needs."""
    verdict = found(PAIRWISE, SHADOW, copies(60), "shadow")
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.reason == ("preference: the first look needs 20 judged pairs; this step has 0.")


@pytest.mark.untraced
def test_an_equal_shadow_is_seldom_accused() -> None:
    """200 shadows of 500 pairs each, looked at after each: at most alpha of them."""
    chance = random.Random(5)  # noqa: S311 - a simulation
    accused = 0
    for _ in range(200):
        watch = PreferenceWatch("preference", replace(PAIRWISE, guardrails=("preference",)))
        for _ in range(500):
            watch.observe(float(chance.random() < 0.5))
        accused += watch.failed
    assert accused <= 10


def test_candidates_share_alpha() -> None:
    """Two candidates, two sides: four times the evidence; superiority twice that of one arm."""
    policy = replace(POLICY, goal="error")
    verdict = found(policy, THREE, [], "champion_challenger")
    assert {g.threshold for g in verdict.guardrails} == {4 / policy.alpha}
    assert {g.better_threshold for g in verdict.guardrails} == {4 / policy.alpha}
    assert [g.arm for g in verdict.guardrails] == ["challenger_1", "challenger_2"]
    assert found(POLICY, pair(20), []).guardrails[0].threshold == 1 / POLICY.alpha


def test_not_worse_is_not_better() -> None:
    """Equal arms pass a canary and not an A/B test."""
    records = [outcome(i, "candidate" if i % 2 else "stable") for i in range(400)]
    assert found(POLICY, pair(50), records).verdict is Verdict.PASS
    verdict = found(replace(POLICY, goal="error"), pair(50), records, "ab")
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert "not proven that candidate is better" in verdict.reason


@pytest.mark.untraced
@pytest.mark.parametrize("good", [0.5, 0.9])
def test_an_ab_test_of_equal_arms_is_seldom_decided(good: float) -> None:
    """150 tests of 600 requests, looked at after each: at most alpha, on both sides together."""
    chance = random.Random(11)  # noqa: S311 - a simulation
    policy = replace(POLICY, goal="error")
    decided = 0
    for _ in range(150):
        evidence = RolloutEvidence(policy, pair(50), 0.0, "ab")
        for i in range(600):
            arm = "candidate" if chance.random() < 0.5 else "stable"
            error: ErrorKind | None = None if chance.random() < good else "status"
            evidence.fold([outcome(i, arm, error=error)])
        decided += evidence.verdict(600.0).verdict in {Verdict.PASS, Verdict.FAIL}
    assert decided <= 7


def test_answers_of_another_model_make_data_mixed() -> None:
    """They are nobody's evidence, and in doubt nothing passes."""
    ours = [outcome(i, "candidate" if i % 2 else "stable") for i in range(400)]
    theirs = [outcome(400 + i, "candidate", model="a/x", error="status") for i in range(20)]
    verdict = found(POLICY, pair(50), [*ours, *theirs])
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.reason == (
        "Mixed: 20 requests of the candidate in this step were answered by a/x, not by a/c."
    )
    assert verdict.guardrails[0].candidate_rate == 1.0


def test_late_feedback_on_an_earlier_step_is_evidence_and_no_look() -> None:
    """It counts for the e-process at once, and this step's looks do not see it."""
    policy = replace(POLICY, guardrails=("quality",))
    evidence = RolloutEvidence(policy, pair(50), 0.0)
    evidence.fold(outcome(i, "candidate" if i % 2 else "stable") for i in range(100))
    evidence.start_step(pair(80), 100.0)
    evidence.fold(
        quality(i, "candidate" if i % 2 else "stable", good=i % 2 == 0, outcome_seq=i)
        for i in range(60)
    )
    verdict = evidence.verdict(100.0)
    assert verdict.guardrails[0].candidate_n == 30
    assert verdict.guardrails[0].look == 0
    assert verdict.verdict is Verdict.FAIL


def test_a_split_among_three_arms_is_checked_as_a_whole() -> None:
    """Any arm that gets another share than was asked for makes all of them doubtful."""
    arms = ("stable", "challenger_1", "challenger_1", "challenger_2")
    records = [outcome(i, arms[i % 4]) for i in range(400)]
    verdict = found(replace(POLICY, goal="error"), THREE, records, "champion_challenger")
    assert verdict.split_p_value is not None
    assert verdict.split_p_value < 0.001
    assert verdict.realised_shares == {"challenger_1": 0.5, "challenger_2": 0.25, "stable": 0.25}
    assert all("the split is not trusted" in arm.reason for arm in verdict.arms)
