"""What requests with an idempotency key were answered, for those that come again with it.

Neither keys nor requests are kept, only their hashes: either may hold a secret.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Column, ColumnElement, Float, Integer, String, Table, Text, and_

from agent_orchestrator.errors import KeyReusedError
from agent_orchestrator.stores.database import Database, metadata

_ANSWERS = Table(
    "kept_answers",
    metadata,
    Column("caller", String, primary_key=True),
    Column("key_sha256", String, primary_key=True),
    Column("request_sha256", String, nullable=False),
    Column("begun_at", Float, nullable=False, index=True),
    Column("status", Integer),
    Column("media_type", String),
    Column("body", Text),
)


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose request it is, by which key, and what it asks: hashes in hex."""

    caller: str
    key_sha256: str
    request_sha256: str


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a request was answered."""

    status: int
    media_type: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What became of a claim."""

    first: bool
    """Whether it was the first: the request is to be carried out."""
    answer: KeptAnswer | None = None
    """Of another, where there is one."""


class KeptAnswerStore:
    """The table. Methods block and raise LockTimeout, StorageError or UnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, claim: Claim, now: float, since: float) -> Begun:
        """Claim a key; of all who ask one is the first.

        What was begun before ``since`` is forgotten. Raises KeyReusedError when the key came with
        another request.
        """
        with self._database.write() as connection:
            connection.execute(_ANSWERS.delete().where(_ANSWERS.c.begun_at < since))
            row = connection.execute(_ANSWERS.select().where(_one(claim))).mappings().first()
            if row is None:
                values = {
                    "caller": claim.caller,
                    "key_sha256": claim.key_sha256,
                    "request_sha256": claim.request_sha256,
                }
                connection.execute(_ANSWERS.insert().values(**values, begun_at=now))
                return Begun(first=True)
        if row["request_sha256"] != claim.request_sha256:
            raise KeyReusedError(
                "This idempotency key came with another request before.",
                remedy="Use a new key for every new request.",
            )
        if row["status"] is None:
            return Begun(first=False)
        answer = KeptAnswer(row["status"], row["media_type"], row["body"])
        return Begun(first=False, answer=answer)

    def keep(self, claim: Claim, answer: KeptAnswer) -> None:
        """Write down how a claimed request was answered."""
        values = {"status": answer.status, "media_type": answer.media_type, "body": answer.body}
        with self._database.write() as connection:
            connection.execute(_ANSWERS.update().where(_one(claim)).values(**values))

    def drop(self, claim: Claim) -> None:
        """Give a key back whose request did nothing."""
        with self._database.write() as connection:
            connection.execute(_ANSWERS.delete().where(_one(claim)))

    def prune(self, before: float) -> int:
        """Forget what was begun before that; return how many there were."""
        with self._database.write() as connection:
            gone = connection.execute(_ANSWERS.delete().where(_ANSWERS.c.begun_at < before))
        return gone.rowcount


def _one(claim: Claim) -> ColumnElement[bool]:
    return and_(
        _ANSWERS.c.caller == claim.caller,
        _ANSWERS.c.key_sha256 == claim.key_sha256,
    )
