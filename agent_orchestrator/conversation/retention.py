"""Removes what nobody needs of conversations: those long idle, and old states of the others."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

from agent_orchestrator.errors import NotFoundError
from agent_orchestrator.stores.approvals import ApprovalStore
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.thread_events import LastEvent, ThreadEventStore
from agent_orchestrator.stores.threads import ThreadStore
from agent_orchestrator.stores.turns import Begun, Ended, TurnStore

_DAY_SECONDS: Final = 86400.0
#: An approval that can still be carried out.
_OPEN: Final = ("pending", "approved")
#: So many events before a turn's end is what it waits for.
_RECENT: Final = 50


class KeptStates(Protocol):
    """The conversations' checkpoints (``stores.checkpoints``)."""

    def surplus(self, states: int) -> Mapping[str, int]:
        """Return thread → how many more states of the conversation than so many are kept."""

    def keep_newest(self, thread_id: str, states: int) -> int:
        """Remove all but so many of a thread's states, and what belongs to them; count these."""

    def delete(self, thread_id: str) -> None:
        """Forget a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How much is kept."""

    days: float
    """A conversation is forgotten when nothing was said in it for so long; 0: never."""
    states: int
    """Newest states of a conversation that are kept, to look back at; 0: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was removed, or would be."""

    conversations: tuple[str, ...] = ()
    """Forgotten whole."""
    states: int = 0
    """Old ones, of conversations that stay."""

    def __bool__(self) -> bool:
        return bool(self.conversations or self.states)


class ConversationRetention:
    """Never touches a conversation of which a turn runs or that waits for an open approval."""

    def __init__(
        self,
        *,
        threads: ThreadStore,
        events: ThreadEventStore,
        turns: TurnStore,
        states: KeptStates,
        approvals: ApprovalStore,
        audit: AuditLog,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._threads = threads
        self._events = events
        self._turns = turns
        self._states = states
        self._approvals = approvals
        self._audit = audit
        self._clock = clock

    def prune(self, policy: Policy, actor: str) -> Pruned:
        """Remove what is too old; what is cut off goes on the next time. Raises as the stores do.

        Last goes what the conversation is found by.
        """
        gone = []
        for thread_id in self._idle(policy):
            with self._alone(thread_id) as alone:
                if alone and self._is_idle(thread_id, policy):
                    self._states.delete(thread_id)
                    self._events.delete(thread_id)
                    self._forget(thread_id)
                    gone.append(thread_id)
        removed = 0
        for thread_id in self._states.surplus(policy.states) if policy.states else ():
            with self._alone(thread_id) as alone:
                if alone:
                    removed += self._states.keep_newest(thread_id, policy.states)
        done = Pruned(conversations=tuple(gone), states=removed)
        if done:
            detail = {"conversations": len(gone), "states": removed, "days": policy.days}
            self._audit.append(self._clock(), actor, "prune", "conversations", detail)
        return done

    def plan(self, policy: Policy) -> Pruned:
        """Return what would be removed now."""
        running = self._turns.running()
        idle = tuple(thread for thread in self._idle(policy) if thread not in running)
        surplus = self._states.surplus(policy.states) if policy.states else {}
        stay = {thread: n for thread, n in surplus.items() if thread not in {*idle, *running}}
        return Pruned(conversations=idle, states=sum(stay.values()))

    def _idle(self, policy: Policy) -> list[str]:
        """Return conversations that nobody has gone on with for long."""
        if not policy.days:
            return []
        before = self._clock() - policy.days * _DAY_SECONDS
        ended = [last for last in self._events.lasts(before=before) if not self._waits(last)]
        untouched = self._threads.untouched_since(before)
        silent = [thread for thread in untouched if not self._events.last(thread)]
        return [last.thread_id for last in ended] + silent

    def _is_idle(self, thread_id: str, policy: Policy) -> bool:
        """Look again, now that nobody else may speak in it."""
        before = self._clock() - policy.days * _DAY_SECONDS
        return not self._events.last(thread_id) or any(
            not self._waits(last) for last in self._events.lasts(before=before, thread_id=thread_id)
        )

    def _waits(self, last: LastEvent) -> bool:
        """Return whether any approval that the conversation waits for can still be carried out."""
        if last.event.get("waiting") != "approval":
            return False
        recent = self._events.recent(last.thread_id, _RECENT)
        asked = (event["approval_id"] for event in recent if event["type"] == "approval_required")
        return any(self._is_open(approval_id) for approval_id in asked)

    def _is_open(self, approval_id: str) -> bool:
        """Return whether an approval, or what stands in its place, can still be carried out."""
        try:
            approval = self._approvals.get(approval_id)
        except NotFoundError:
            return False
        if approval.replaced_by is not None:
            return self._is_open(approval.replaced_by)
        return approval.standing(self._clock()) in _OPEN

    def _forget(self, thread_id: str) -> None:
        with suppress(NotFoundError):  # begun at a terminal, and never opened elsewhere
            self._threads.delete(thread_id)

    @contextmanager
    def _alone(self, thread_id: str) -> Iterator[bool]:
        """Say whether no turn of the thread runs; none begins meanwhile."""
        holder = uuid.uuid4().hex
        (alone,) = self._turns.change([Begun(thread_id, holder, waits=False)])
        try:
            yield alone
        finally:
            self._turns.change([Ended(thread_id, holder)])
