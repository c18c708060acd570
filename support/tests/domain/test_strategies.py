"""What each strategy does with the traffic, decided by values alone."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.rollout import (
    ArmVerdict,
    Finish,
    GuardrailEvidence,
    Promote,
    RollBack,
    RolloutPolicy,
    RolloutState,
    RolloutVerdict,
    SetSplit,
)
from agent_orchestrator.domain.rollout_machine import advance, line_up, promote, start
from agent_orchestrator.domain.routing import Strategy, choose_arm
from agent_orchestrator.domain.strategies import moves
from agent_orchestrator.domain.strategies.names import DESCRIPTIONS, parse_strategy
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import InputError

POLICY = RolloutPolicy(min_step_seconds=10, max_step_seconds=100, guard_seconds=50)
PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def begin(strategy: Strategy, candidates: int = 1, policy: RolloutPolicy = POLICY) -> RolloutState:
    """Start a rollout at second 0."""
    models = [(f"acme/{n}", f"v1.{n}.0") for n in range(1, candidates + 1)]
    state, _ = start(
        id="ro_1",
        agent="code_review",
        strategy=strategy,
        policy=policy,
        arms=line_up(strategy, ("acme/old", "v1.0.0"), models),
        now=0.0,
    )
    return state


def split(state: RolloutState) -> list[tuple[str, int, int]]:
    """Return name, weight and mirror of each arm."""
    return [(arm.name, arm.weight, arm.mirror) for arm in state.arms]


def says(**arms: Verdict) -> RolloutVerdict:
    """Return a verdict on each of several arms."""
    return RolloutVerdict(
        verdict=OPEN,
        reason="as the arms say",
        arms=tuple(
            ArmVerdict(arm=name, verdict=v, reason=f"{name} {v}.") for name, v in arms.items()
        ),
    )


def on_candidate(verdict: Verdict) -> RolloutVerdict:
    """Return a verdict on the only candidate."""
    return replace(says(candidate=verdict), verdict=verdict, reason=f"because {verdict}")


def test_every_strategy_is_described_and_can_be_named():
    """Doors list the descriptions: what is missing there could not be chosen."""
    assert DESCRIPTIONS.keys() == set(get_args(Strategy))
    for name, text in DESCRIPTIONS.items():
        assert parse_strategy(name, RolloutPolicy())[0] == name
        assert text.endswith(".")


@pytest.mark.parametrize(
    ("strategy", "candidates", "first"),
    [
        ("immediate", 1, [("stable", 0, 0), ("candidate", 100, 0)]),
        ("canary", 1, [("stable", 80, 0), ("candidate", 20, 0)]),
        ("blue_green", 1, [("stable", 100, 0), ("candidate", 0, 20)]),
        ("shadow", 1, [("stable", 100, 0), ("candidate", 0, 100)]),
        ("ab", 1, [("stable", 50, 0), ("candidate", 50, 0)]),
        (
            "champion_challenger",
            2,
            [("stable", 34, 0), ("challenger_1", 33, 0), ("challenger_2", 33, 0)],
        ),
        ("ensemble", 2, [("stable", 34, 0), ("member_1", 33, 0), ("member_2", 33, 0)]),
    ],
)
def test_how_each_strategy_begins(
    strategy: Strategy, candidates: int, first: list[tuple[str, int, int]]
) -> None:
    """The stable arm comes first, and weights sum to 100."""
    assert split(begin(strategy, candidates)) == first


def test_shares_by_policy() -> None:
    """The candidates' share, and the share of tasks that is mirrored."""
    policy = replace(POLICY, share=20, mirror=5)
    assert begin("ab", 1, policy).weight == 20
    challenged = begin("champion_challenger", 3, policy)
    assert [arm.weight for arm in challenged.arms] == [80, 7, 7, 6]
    assert begin("shadow", 1, policy).candidates[0].mirror == 5
    assert begin("blue_green", 1, policy).candidates[0].mirror == 5


@pytest.mark.parametrize("strategy", ["immediate", "canary", "blue_green", "shadow", "ab"])
def test_several_candidates_need_a_strategy_for_several(strategy: Strategy) -> None:
    """The message names the strategy, the remedy those that take several."""
    with pytest.raises(InputError, match=f"'{strategy}' takes one candidate, not 2") as caught:
        begin(strategy, 2)
    assert "champion_challenger or ensemble" in caught.value.remedy


def test_a_goal_must_be_watched() -> None:
    """Nothing can be proven better on what nobody measures."""
    with pytest.raises(InputError, match="goal is 'quality', the guardrails are"):
        begin("ab", 1, replace(POLICY, guardrails=("error",)))


def test_a_goal_must_be_fair() -> None:
    """Of ``slowdown`` an equal candidate has an advantage, the tolerance."""
    with pytest.raises(InputError, match="goal is 'slowdown'"):
        begin("ab", 1, replace(POLICY, guardrails=("slowdown",), goal="slowdown"))


def test_blue_green_switches_once_and_comes_back_at_once() -> None:
    """No step between; a failure in the guard period gives the old arm everything."""
    state = begin("blue_green")
    assert advance(state, on_candidate(PASS), 9.0) == (state, ())
    switched, effects = advance(state, on_candidate(PASS), 10.0)
    assert effects == (Promote("candidate"),)
    assert split(switched) == [("stable", 0, 0), ("candidate", 100, 0)]
    assert (switched.phase, switched.own.name) == ("guard", "candidate")
    back, effects = advance(switched, on_candidate(FAIL), 11.0)
    assert effects == (RollBack("because fail"),)
    assert split(back) == [("stable", 100, 0), ("candidate", 0, 0)]
    assert back.own.name == "stable"
    assert advance(switched, on_candidate(OPEN), 60.0)[1] == (Finish(),)


@pytest.mark.parametrize("now", [0.0, 10.0, 1e6])
def test_a_shadow_that_passes_gets_no_traffic(now: float) -> None:
    """However long it goes on passing."""
    state = begin("shadow")
    assert advance(state, on_candidate(PASS), now) == (state, ())
    assert advance(state, on_candidate(FAIL), now)[0].phase == "rolled_back"


def test_a_promoted_shadow_is_a_canary() -> None:
    """A person gives it its first step; after that its verdicts lead on."""
    state, _ = promote(begin("shadow"), None, 50.0)
    assert split(state) == [("stable", 80, 0), ("candidate", 20, 0)]
    state, _ = advance(state, on_candidate(PASS), 60.0)
    assert state.weight == 50
    straight, _ = promote(begin("shadow"), 100, 50.0)
    assert (straight.phase, straight.own.name) == ("guard", "candidate")


@pytest.mark.parametrize(
    ("verdict", "now", "phase"),
    [
        (PASS, 9.0, "running"),
        (PASS, 10.0, "guard"),
        (FAIL, 0.0, "rolled_back"),
        (OPEN, 99.0, "running"),
        (OPEN, 100.0, "rolled_back"),
    ],
)
def test_an_ab_test_ends_by_proof_or_by_time(verdict: Verdict, now: float, phase: str) -> None:
    """Without a difference the stable arm stays."""
    assert advance(begin("ab"), on_candidate(verdict), now)[0].phase == phase


@pytest.mark.parametrize("strategy", ["blue_green", "ab", "ensemble"])
def test_what_has_no_steps_is_promoted_whole(strategy: Strategy) -> None:
    """A share below 100 is refused."""
    state = begin(strategy)
    with pytest.raises(InputError, match="has no step of 30 percent"):
        promote(state, 30, 1.0)
    assert promote(state, None, 1.0)[0].phase == "guard"


def test_a_worse_challenger_is_out_and_its_tasks_go_to_the_others() -> None:
    """The decision says why; what served the other tasks goes on serving them."""
    state = begin("champion_challenger", 3)
    after, (move,) = advance(state, says(challenger_1=OPEN, challenger_2=FAIL), 1.0)
    assert isinstance(move, SetSplit)
    assert move.reason == "challenger_2 is out. challenger_2 fail."
    assert [arm.weight for arm in after.arms] == [34, 33, 0, 33]
    assert [arm.name for arm in after.racing] == ["challenger_1", "challenger_3"]
    tasks = [f"task {n}" for n in range(2000)]
    owners = {task: choose_arm(state.arms, task, state.id).name for task in tasks}
    moved = [t for t in tasks if choose_arm(after.arms, t, after.id).name != owners[t]]
    assert sum(owners[t] != "challenger_2" for t in moved) <= len(tasks) * 0.02
    assert {t for t in tasks if owners[t] == "challenger_2"} <= set(moved)


def test_the_last_challenger_that_fails_ends_it() -> None:
    """The champion has all traffic again."""
    state = begin("champion_challenger", 2)
    after, effects = advance(state, says(challenger_1=FAIL, challenger_2=FAIL), 1.0)
    assert effects == (RollBack(after.reason),)
    assert "challenger_1 is out" in after.reason
    assert split(after)[0] == ("stable", 100, 0)


def test_the_challenger_with_the_most_evidence_takes_over() -> None:
    """Of two that are proven better; not before the step's minimum."""
    state = begin("champion_challenger", 2)
    better = tuple(
        GuardrailEvidence(
            guardrail="quality",
            arm=f"challenger_{n}",
            verdict=PASS,
            candidate_n=9,
            stable_n=9,
            candidate_rate=0.9,
            stable_rate=0.5,
            e_value=0.1,
            threshold=160.0,
            better_e_value=evidence,
            better_threshold=80.0,
        )
        for n, evidence in ((1, 90.0), (2, 400.0))
    )
    verdict = replace(says(challenger_1=PASS, challenger_2=PASS), guardrails=better)
    assert advance(state, verdict, 9.0) == (state, ())
    after, effects = advance(state, verdict, 10.0)
    assert effects == (Promote("challenger_2"),)
    assert after.own.version == "v1.2.0"


def test_a_champion_that_nobody_beats_in_time_stays() -> None:
    """The reason says so."""
    after, _ = advance(begin("champion_challenger", 2), says(challenger_1=OPEN), 100.0)
    assert after.phase == "rolled_back"
    assert "No challenger was proven better in time (100 s)" in after.reason


def test_a_person_says_which_challenger() -> None:
    """Without a name there is no telling; one that is out cannot be promoted."""
    state = begin("champion_challenger", 2)
    with pytest.raises(InputError, match="several candidates") as caught:
        promote(state, None, 1.0)
    assert "v1.1.0, v1.2.0" in caught.value.remedy
    assert promote(state, None, 1.0, "challenger_2")[0].own.name == "challenger_2"
    after, _ = advance(state, says(challenger_2=FAIL), 1.0)
    with pytest.raises(InputError, match="'challenger_2' is no candidate"):
        promote(after, None, 1.0, "challenger_2")


def test_an_ensemble_drops_what_fails_and_ends_by_a_person() -> None:
    """Passes and time change nothing."""
    state = begin("ensemble", 2)
    assert advance(state, says(member_1=PASS, member_2=PASS), 1e6) == (state, ())
    after, _ = advance(state, says(member_1=FAIL, member_2=PASS), 1.0)
    assert split(after) == [("stable", 51, 0), ("member_1", 0, 0), ("member_2", 49, 0)]
    ended, _ = advance(after, says(member_2=FAIL), 2.0)
    assert ended.phase == "rolled_back"


@given(st.integers(0, 1000), st.lists(st.integers(0, 100), min_size=1).filter(any))
def test_parts_are_whole_and_in_proportion(total: int, weights: list[int]) -> None:
    """They sum to the total, and none is off by one or more."""
    parts = moves.in_proportion(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - total * weight / sum(weights)) < 1.0
