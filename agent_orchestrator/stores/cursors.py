"""How far something that comes from outside was read, by name."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, delete, select

from agent_orchestrator.stores.database import Database, metadata

_CURSORS = Table(
    "cursors",
    metadata,
    Column("name", String, primary_key=True),
    Column("position", String, nullable=False),
)


class CursorStore:
    """The table of cursors."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> str | None:
        """Return how far ``name`` was read; None when it never was."""
        query = select(_CURSORS.c.position).where(_CURSORS.c.name == name)
        with self._database.read() as connection:
            position: str | None = connection.execute(query).scalar()
        return position

    def set(self, name: str, position: str) -> None:
        """Say how far ``name`` was read."""
        with self._database.write() as connection:
            connection.execute(delete(_CURSORS).where(_CURSORS.c.name == name))
            connection.execute(_CURSORS.insert().values(name=name, position=position))
