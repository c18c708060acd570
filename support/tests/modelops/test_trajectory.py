"""How evidence grew: asked for again and again, or once."""

import tempfile
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import given, settings
from tests.doubles.records import outcome
from tests.doubles.splits import pair

from agent_orchestrator.agents.infrastructure.modelops.rollouts.trajectory import Trajectories
from agent_orchestrator.domain.outcomes import Feedback, Recorded
from agent_orchestrator.domain.rollout import RolloutPolicy, RolloutState
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.stores.rollouts import RolloutStore

STATE = RolloutState(
    id="ro_1",
    agent="code_review",
    strategy="canary",
    policy=RolloutPolicy(steps=(20, 50, 100), guardrails=("error", "quality")),
    arms=pair(20),
    started_at=0.0,
    step_started_at=0.0,
)
MOST = 8
answers = st.tuples(
    st.just("answers"),
    st.lists(
        st.tuples(st.sampled_from(["stable", "candidate"]), st.booleans(), st.integers(0, 9)),
        min_size=1,
        max_size=12,
    ),
)
judgements = st.tuples(
    st.just("judgements"),
    st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.integers(0, 99)), max_size=5),
)
steps = st.tuples(st.just("step"), st.tuples(st.integers(0, 9), st.integers(0, 3)))
looks = st.tuples(st.just("look"), st.sampled_from([1, 3, 8, 100]))


class Rollout:
    """What may happen to one, in a database."""

    def __init__(self, database: Database) -> None:
        self.outcomes = OutcomeStore(database)
        self.rollouts = RolloutStore(database)
        self.rollouts.save(STATE, 0.0)
        self.kept = Trajectories(self.outcomes, self.rollouts, most_looks=MOST)
        self.answered = 0
        self.steps = 0
        self.step((0, 0))

    def answers(self, given_answers: list[tuple[str, bool, int]]) -> None:
        """Requests are answered; some are told of late."""
        found = []
        for arm, failed, late in given_answers:
            self.answered += 1
            record = outcome(self.answered, arm, error="status" if failed else None).outcome
            found.append(replace(record, at=float(self.answered - late)))
        self.outcomes.append_many(found)

    def judgements(self, given_judgements: list[tuple[int, bool, int]]) -> None:
        """Answers are judged, of the last ones or of earlier ones, at any time."""
        self.outcomes.add_feedback_many(
            [
                Feedback(f"r{self.answered - back}", float(good), "user", float(at))
                for back, good, at in given_judgements
            ]
        )

    def step(self, behind: tuple[int, int]) -> None:
        """Somebody moves the split, by what was known a few records ago."""
        self.steps += 1
        place = [
            max(0, last - less) for last, less in zip(self.outcomes.position(), behind, strict=True)
        ]
        split = [asdict(arm) for arm in pair((20, 40, 60)[self.steps % 3])]
        self.rollouts.append_decision(
            STATE.id,
            intent_id=f"i{self.steps}",
            at=float(self.answered),
            actor="ada",
            kind="set_split",
            message="",
            evidence={
                "split": split,
                "position": {"outcome": place[0], "feedback": place[1]},
            },
        )

    def look(self, points: int) -> None:
        """Who has looked before sees what one sees who looks for the first time."""
        fresh = Trajectories(self.outcomes, self.rollouts, most_looks=MOST)
        found = self.kept.of(STATE, points)
        assert found == fresh.of(STATE, points)
        assert [p.at for p in found] == sorted(p.at for p in found)
        assert len(found) <= points + self.steps + 1
        if self.answered:
            whole = found[-1].guardrails[0]
            assert whole.candidate_n + whole.stable_n == found[-1].requests == self.answered


@settings(max_examples=20, deadline=None)
@given(st.lists(answers | answers | judgements | steps | looks, max_size=40))
def test_a_poll_answers_what_a_full_replay_answers(
    happenings: list[tuple[str, object]],
) -> None:
    """Whatever came in which order between looks, also steps that were decided a while ago."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Database(f"sqlite:///{Path(folder) / 'state.db'}")) as database,
    ):
        rollout = Rollout(database)
        for name, content in [*happenings, ("look", 8), ("look", 3)]:
            getattr(rollout, name)(content)


class Counting(OutcomeStore):
    """Counts the outcomes that are read."""

    read = 0

    def outcomes_after(self, rollout_id: str, seq: int, limit: int) -> list[Recorded]:
        """Read and count."""
        found = super().outcomes_after(rollout_id, seq, limit)
        self.read += len(found)
        return found


def test_a_poll_reads_what_is_new(tmp_path: Path) -> None:
    """However much there was before."""
    with closing(Database(f"sqlite:///{tmp_path / 'state.db'}")) as database:
        rollout = Rollout(database)
        counting = Counting(database)
        polled = Trajectories(counting, rollout.rollouts)
        for _ in range(5):
            rollout.answers([("stable", False, 0)] * 100)
            polled.of(STATE, 200)
            polled.of(STATE, 50)
        assert counting.read == 500
