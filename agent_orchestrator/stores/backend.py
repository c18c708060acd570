"""What each kind of state database does in its own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, NamedTuple, Protocol

from sqlalchemy import Connection, Engine, Table

from agent_orchestrator.errors import ChefError

#: Execution option: what a transaction is for. Without it the driver's own way holds.
PURPOSE: Final = "chef_purpose"
Purpose = Literal["read", "write"]


class Rows(NamedTuple):
    """Values for some columns of a table: texts, numbers, truth values and None."""

    columns: Sequence[str]
    values: Sequence[tuple[Any, ...]]


class Backend(Protocol):
    """SQLite or PostgreSQL.

    ``engine`` begins transactions by their ``PURPOSE``: as the one writer, or with a reader's
    snapshot. ``name`` is how messages call the database; it has no password in it.
    """

    name: str
    engine: Engine

    def insert_new(
        self, connection: Connection, table: Table, key: Sequence[str], rows: Rows
    ) -> int:
        """Insert rows in their order, fast; leave those whose key is there. Return how many."""

    def exclusive(self, name: str, timeout: float) -> AbstractContextManager[Callable[[], None]]:
        """Hold a named lock of this database; what it gives raises when the lock was lost.

        Raises LockTimeout after ``timeout`` seconds.
        """

    def fault(self, error: Exception) -> ChefError | None:
        """Return an error about the database as one of ours; None for a mistaken statement."""


def purpose_of(connection: Connection) -> Purpose | None:
    """Return what a connection's transaction is for."""
    found: Purpose | None = connection.get_execution_options().get(PURPOSE)
    return found
