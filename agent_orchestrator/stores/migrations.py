"""How the tables of an older version become those of this one: an append-only list of functions.

A new table needs no migration: the database makes it. A change of one that was there is a function
at the end of ``MIGRATIONS``, which nobody alters afterwards. It has SQL of its own, since today's
tables are not those of its day, and passes over a table that is missing: each process makes only
those that it uses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection, inspect

FIRST_VERSION: Final = 2
"""The oldest version of the tables that can be brought up to date."""


def _add_columns(connection: Connection, table: str, columns: Sequence[str]) -> None:
    if inspect(connection).has_table(table):
        for column in columns:
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column}")


def approvals_can_be_edited(connection: Connection) -> None:
    """Let an approval say what was edited by whom, and show the details of its plan."""
    _add_columns(
        connection,
        "approvals",
        (
            "details TEXT DEFAULT '{}' NOT NULL",
            "editors TEXT DEFAULT '[]' NOT NULL",
            "edited_from VARCHAR",
            "replaced_by VARCHAR",
        ),
    )


def feedback_says_when_it_came(connection: Connection) -> None:
    """Let feedback name the last outcome before it; what is there came after what it judges."""
    _add_columns(connection, "feedback", ("after_outcome INTEGER DEFAULT 0 NOT NULL",))
    if inspect(connection).has_table("feedback"):
        connection.exec_driver_sql("UPDATE feedback SET after_outcome = outcome_seq")


MIGRATIONS: Final[tuple[Callable[[Connection], None], ...]] = (
    approvals_can_be_edited,
    feedback_says_when_it_came,
)
"""The first makes version ``FIRST_VERSION + 1`` of ``FIRST_VERSION``, and so on."""
