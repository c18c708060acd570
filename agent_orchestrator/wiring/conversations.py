"""What is kept of conversations, composed without the graph: for the timer and the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from agent_orchestrator.conversation.leases import LEASE_SECONDS
from agent_orchestrator.conversation.retention import ConversationRetention, KeptStates, Policy
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.approvals import ApprovalStore
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.checkpoint_file import CheckpointFile
from agent_orchestrator.stores.checkpoints import CheckpointStore
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.thread_events import ThreadEventStore
from agent_orchestrator.stores.threads import ThreadStore
from agent_orchestrator.stores.turns import TurnStore


def retention_policy(settings: Settings) -> Policy:
    """Return what the settings say."""
    return Policy(days=settings.thread_retention_days, states=settings.thread_states)


@contextmanager
def open_retention(settings: Settings) -> Iterator[ConversationRetention]:
    """Open what removes old conversations. Raises StorageError."""
    with closing(Database(settings.database)) as database, _states(settings, database) as states:
        yield ConversationRetention(
            threads=ThreadStore(database),
            events=ThreadEventStore(database),
            turns=TurnStore(database, LEASE_SECONDS),
            states=states,
            approvals=ApprovalStore(database),
            audit=AuditLog(database),
        )


@contextmanager
def _states(settings: Settings, database: Database) -> Iterator[KeptStates]:
    if settings.database.startswith("sqlite"):
        with closing(CheckpointFile(settings.checkpoints)) as file:
            yield file
    else:
        yield CheckpointStore(database)
