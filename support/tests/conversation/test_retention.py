"""What is removed of conversations, and what never is."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conversation.conftest import ADA, BOB, asked_for, resume, say, types
from tests.conversation.test_conversation import DEPLOY
from tests.doubles.workspace import Workspace

from agent_orchestrator.conversation.retention import (
    ConversationRetention,
    Policy,
    Pruned,
)
from agent_orchestrator.domain.approvals import Approval
from agent_orchestrator.errors import NotFoundError, StorageError
from agent_orchestrator.stores.approvals import ApprovalStore
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.checkpoint_file import CheckpointFile
from agent_orchestrator.stores.checkpoints import (
    CheckpointKey,
    CheckpointRow,
    Checkpoints,
    CheckpointStore,
    WriteRow,
    Writes,
)
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.thread_events import ThreadEventStore
from agent_orchestrator.stores.threads import ThreadStore
from agent_orchestrator.stores.turns import Begun, TurnStore
from agent_orchestrator.wiring.conversations import open_retention
from agent_orchestrator.wiring.orchestrator import open_orchestrator

DAY = 86400.0
POLICY = Policy(days=10, states=2)


class Kept:
    """What is kept of conversations, at a time of one's own."""

    def __init__(self, database: Database, states: Any) -> None:
        self.now = 1000 * DAY
        self.states: Checkpoints = states
        self.threads = ThreadStore(database)
        self.events = ThreadEventStore(database, clock=self.clock)
        self.turns = TurnStore(database, 60.0, clock=self.clock)
        self.approvals = ApprovalStore(database)
        self.audit = AuditLog(database)
        self.retention = self.over()

    def over(self, **others: Any) -> ConversationRetention:
        """Return the retention over the stores, or over others in their places."""
        own = ("threads", "events", "turns", "states", "approvals", "audit")
        stores = {name: getattr(self, name) for name in own}
        return ConversationRetention(**{**stores, **others}, clock=self.clock)

    def clock(self) -> float:
        """Return the time."""
        return self.now

    def talk(self, thread: str, turns: int = 1, **end: Any) -> None:
        """Let turns be taken, two states in each, an agent's own in the second one's course."""
        self.threads.open(thread, "ada", self.now)
        for turn in range(turns):
            for step in range(2):
                key = CheckpointKey(thread, "", f"{turn:03}-{step}")
                inner = CheckpointKey(thread, "agent:1", f"{turn:03}-{step}-inner")
                write = WriteRow("task", 0, "", "channel", "json", b"1")
                self.states.keep(
                    [
                        CheckpointRow(key, None, "json", b"{}", {}),
                        CheckpointRow(inner, None, "json", b"{}", {}),
                        Writes(key, [write], replace=False),
                    ]
                )
            self.events.append_many([(thread, {"type": "end", "waiting": None, **end})])

    def ids(self, thread: str) -> list[str]:
        """Return the ids of a thread's checkpoints, newest first."""
        return [row.key.checkpoint_id for row in self.states.find(thread_id=thread)]

    def is_there(self, thread: str) -> bool:
        """Return whether all of a conversation is there; fails when only a part is."""
        try:
            self.threads.get(thread)
        except NotFoundError:
            assert not self.ids(thread)
            assert not self.events.last(thread)
            return False
        assert self.ids(thread)
        assert self.events.last(thread)
        return True


@contextmanager
def in_file(tmp_path: Path) -> Iterator[Kept]:
    """Keep all in files."""
    with (
        closing(Database(f"sqlite:///{tmp_path / 'state.db'}")) as database,
        closing(CheckpointFile(tmp_path / "checkpoints.db")) as states,
    ):
        yield Kept(database, states)


@pytest.fixture(params=["file", "sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """Return empty stores."""
    if request.param == "file":
        with in_file(tmp_path) as found:
            yield found
        return
    url = f"sqlite:///{tmp_path / 'state.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    with closing(Database(url)) as database:
        yield Kept(database, CheckpointStore(database))


def test_conversations_long_idle_are_forgotten(kept: Kept):
    """Whole, and those of which nobody is idle so long stay; a plan says it before."""
    kept.talk("old")
    kept.threads.open("silent", "ada", kept.now)
    kept.talk("revived")
    kept.now += 9 * DAY
    kept.talk("revived", 2)
    kept.talk("young")
    assert not kept.retention.plan(Policy(days=10, states=0))
    kept.now += 2 * DAY
    plan = kept.retention.plan(POLICY)
    assert set(plan.conversations) == {"old", "silent"}
    assert kept.retention.prune(POLICY, "ada") == plan
    assert [kept.is_there(thread) for thread in ("old", "revived", "young")] == [False, True, True]
    with pytest.raises(NotFoundError):
        kept.threads.get("silent")
    assert not kept.retention.prune(POLICY, "ada")
    assert [entry.actor for entry in kept.audit.tail(9)] == ["ada"]


def test_old_states_are_removed_with_what_belongs_to_them(kept: Kept):
    """The newest stay, with what agents kept in their course."""
    kept.talk("long", 3)
    kept.talk("short", 1)
    assert kept.retention.plan(POLICY) == Pruned(states=4)
    assert kept.retention.prune(POLICY, "timer") == Pruned(states=4)
    assert kept.ids("long") == ["002-1-inner", "002-1", "002-0-inner", "002-0"]
    assert kept.states.writes(CheckpointKey("long", "", "002-0"))
    assert not kept.states.writes(CheckpointKey("long", "", "001-1"))
    assert len(kept.ids("short")) == 4
    assert kept.retention.prune(Policy(days=0, states=0), "timer") == Pruned()


def approval(number: int, expires_at: float) -> Approval:
    """Return an approval that waits."""
    return Approval(
        id=f"ap_{number}",
        use_case="promote_canary",
        request={"agent": "cicd"},
        request_hash="h",
        summary="s",
        price_ceiling_usd=0.0,
        requester="ada",
        created_at=1.0,
        expires_at=expires_at,
    )


def test_what_waits_for_an_approval_or_is_gone_on_with_stays(kept: Kept):
    """Until the approval has expired, and the turn's process is gone."""
    kept.approvals.create(approval(1, expires_at=kept.now + 30 * DAY))
    asked = {"type": "approval_required", "approval_id": "ap_1"}
    kept.events.append_many([("waits", asked)])
    kept.talk("waits", 3, waiting="approval")
    kept.talk("runs", 3)
    kept.now += 20 * DAY
    kept.turns.change([Begun("runs", "somebody", waits=False)])
    assert kept.retention.plan(Policy(days=10, states=0)) == Pruned()
    done = kept.retention.prune(POLICY, "timer")
    assert done == Pruned(states=4)
    assert (len(kept.ids("waits")), len(kept.ids("runs"))) == (4, 12)
    kept.now += 15 * DAY
    assert set(kept.retention.prune(POLICY, "timer").conversations) == {"waits", "runs"}
    assert not kept.is_there("waits")


def test_what_waits_for_several_approvals_stays_until_none_is_open(kept: Kept):
    """As an agent asks about its calls: in any order, and also when one was edited."""
    for number in (1, 2):
        kept.approvals.create(approval(number, expires_at=kept.now + 30 * DAY))
        asked = {"type": "approval_required", "approval_id": f"ap_{number}"}
        kept.events.append_many([("waits", asked)])
    kept.talk("waits", 1, waiting="approval")
    kept.now += 20 * DAY
    answer = {"reason": "no", "now": kept.now, "requester_may_approve": False}
    kept.approvals.answer("ap_2", approve=False, approver="bob", **answer)
    assert kept.retention.prune(POLICY, "timer") == Pruned()
    successor = replace(approval(3, expires_at=kept.now + DAY), edited_from="ap_1")
    kept.approvals.replace("ap_1", successor, editor="bob", reason="")
    assert kept.retention.prune(POLICY, "timer") == Pruned()
    kept.now += 2 * DAY
    assert kept.retention.prune(POLICY, "timer").conversations == ("waits",)


class Breaking:
    """Stores that fail at one of the calls."""

    def __init__(self, inner: Any, at: int) -> None:
        self.inner, self.left = inner, at

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise StorageError("The disk is full.")
            return getattr(self.inner, name)(*given, **named)

        return call


@pytest.mark.parametrize("part", ["states", "events", "threads", "turns"])
@pytest.mark.parametrize("at", range(1, 6))
def test_what_is_cut_off_goes_on_the_next_time(tmp_path: Path, part: str, at: int):
    """Wherever the disk fails: nothing is left that cannot be found any more."""
    with in_file(tmp_path) as kept:
        kept.talk("a", 3)
        kept.talk("b", 3)
        kept.now += 11 * DAY
        kept.talk("c", 3)
        try:
            kept.over(**{part: Breaking(getattr(kept, part), at)}).prune(POLICY, "timer")
        except StorageError:
            kept.now += 61.0  # what was held is free again
            kept.retention.prune(POLICY, "timer")
        assert [kept.is_there(thread) for thread in "abc"] == [False, False, True]
        assert len(kept.ids("c")) == 4
        assert kept.turns.running() == set()


async def test_a_real_conversation_goes_on_with_its_newest_states(
    workspace: Workspace, versions: object
):
    """Also one that waits for an approval while its older states are removed."""
    settings = workspace.settings()
    async with open_orchestrator(settings) as orchestrator:
        await say(orchestrator, "list the models of cicd")
        approval_id = asked_for(await say(orchestrator, DEPLOY, by=ADA)).approval_id
        with open_retention(settings) as retention:
            assert retention.prune(Policy(days=1, states=1), "timer").states > 0
        await orchestrator.embedded.coordinator.answer(approval_id, BOB, approve=True)
        assert types(await resume(orchestrator, approval_id)) == ["result", "message", "end"]
        state = await orchestrator.graph.aget_state({"configurable": {"thread_id": "t1"}})
        assert len([m for m in state.values["messages"] if m.type == "human"]) == 2
