"""What is known about each row of a growing data set, in a database file instead of memory.

Rows are compared by digests of their parts. SQLite sorts and groups on disk within a fixed cache,
so that a million rows take no more memory than a thousand.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example, normalised

_BATCH: Final = 1000
_CACHE_KIB: Final = 16 * 1024
_SCHEMA: Final = """
CREATE TABLE rows (
    n INTEGER PRIMARY KEY, at INTEGER, held_out INTEGER,
    id BLOB, task BLOB, form BLOB, answer BLOB, pair INTEGER, grp BLOB);
CREATE TABLE bands (key INTEGER, n INTEGER);
CREATE TABLE near (n INTEGER PRIMARY KEY, root INTEGER);
CREATE TABLE groups_held_out (grp BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE found (kind TEXT, n INTEGER, PRIMARY KEY (kind, n)) WITHOUT ROWID;
CREATE TABLE removed (n INTEGER PRIMARY KEY);
"""
#: Clusters are the rows of which one is nearly the same as another.
_QUESTIONS: Final = """
CREATE INDEX by_form ON rows (form, held_out, task, answer, pair);
CREATE INDEX by_group ON rows (grp, held_out);
CREATE INDEX by_root ON near (root);
CREATE VIEW clusters AS
    SELECT COALESCE(near.root, rows.n) AS root, rows.n, rows.held_out
    FROM rows LEFT JOIN near ON near.n = rows.n
    WHERE near.n IS NOT NULL OR rows.n IN (SELECT root FROM near);
CREATE VIEW leaked AS SELECT n FROM found WHERE kind IN ('leak_exact', 'leak_normalised');
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row as the index keeps it."""

    n: int
    at: int
    """Where its line begins in the file of rows, bytes."""
    held_out: bool | None
    """None until the split is made."""
    example: Example
    bands: Sequence[int]


class RowIndex:
    """The rows of one data set in the making. Close it when done; the file is temporary."""

    def __init__(self, path: Path, *, seed: int) -> None:
        self._seed = seed
        self._entries: list[tuple[object, ...]] = []
        self._bands: list[tuple[int, int]] = []
        self._db = sqlite3.connect(path, isolation_level=None)
        for pragma in (
            "journal_mode=OFF",  # the file is thrown away whatever happens
            "synchronous=OFF",
            "temp_store=FILE",
            f"cache_size=-{_CACHE_KIB}",
        ):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, entry: Entry) -> None:
        """Take a row in."""
        example = entry.example
        rejected = example.outputs.get("rejected")
        answer = None if example.label is None else f"{example.label}\0{rejected or ''}"
        self._entries.append(
            (
                entry.n,
                entry.at,
                entry.held_out,
                _digest(example.id),
                _digest(example.task),
                _digest(normalised(example.task)),
                None if answer is None else _digest(normalised(answer)),
                bool(rejected),
                hashlib.sha256(f"{self._seed}:{example.group}".encode()).digest()[:16],
            )
        )
        self._bands.extend((key, entry.n) for key in entry.bands)
        if len(self._entries) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._db.executemany("INSERT INTO rows VALUES (?,?,?,?,?,?,?,?,?)", self._entries)
        self._db.executemany("INSERT INTO bands VALUES (?,?)", self._bands)
        self._entries.clear()
        self._bands.clear()

    def all_in(self) -> None:
        """Say that no row is to come."""
        self._flush()

    # ------------------------------------------------------------ the split

    def group_sizes(self) -> Iterator[tuple[bytes, int]]:
        """Yield (group, its rows) in the order of the groups' seeded hashes."""
        with closing(self._db.execute("SELECT grp, COUNT(*) FROM rows GROUP BY grp")) as found:
            yield from found

    def hold_out(self, groups: Iterable[bytes]) -> None:
        """Make the split: these groups are held out, the others are trained on."""
        rows = ((group,) for group in groups)
        self._db.executemany("INSERT INTO groups_held_out VALUES (?)", rows)
        self._db.execute("UPDATE rows SET held_out = grp IN (SELECT grp FROM groups_held_out)")

    def any_held_out(self) -> bool:
        """Return whether the split holds anything out."""
        return self._db.execute("SELECT 1 FROM groups_held_out").fetchone() is not None

    # ------------------------------------------------------------ near duplicates

    def candidates(self) -> Iterator[tuple[int, int]]:
        """Yield (row, earlier row that shares a band), by row; each with the band's first and last.

        In a band that thousands share, to compare each with each would take for ever.
        """
        query = """
            SELECT DISTINCT n, other FROM (
                SELECT n, FIRST_VALUE(n) OVER same AS other FROM bands WINDOW same AS
                    (PARTITION BY key ORDER BY n)
                UNION ALL
                SELECT n, LAG(n) OVER same AS other FROM bands WINDOW same AS
                    (PARTITION BY key ORDER BY n))
            WHERE other < n ORDER BY n, other"""
        with closing(self._db.execute(query)) as found:
            yield from found

    def root_of(self, n: int) -> int:
        """Return the row that ``n`` was found to be nearly the same as, else ``n``."""
        found = self._db.execute("SELECT root FROM near WHERE n = ?", (n,)).fetchone()
        return int(found[0]) if found else n

    def set_near(self, n: int, root: int) -> None:
        """Keep that a row is nearly the same as an earlier one."""
        self._db.execute("INSERT INTO near VALUES (?, ?)", (n, root))

    def at(self, n: int) -> int:
        """Return where a row's line begins, bytes."""
        return int(self._db.execute("SELECT at FROM rows WHERE n = ?", (n,)).fetchone()[0])

    # ------------------------------------------------------------ findings

    def prepare_checks(self) -> None:
        """Prepare for questions about the split rows."""
        self._db.executescript(_QUESTIONS)

    def find(self, kind: str, query: str) -> int:
        """Keep the rows that a query returns as a finding's; return how many they are."""
        insert = f"INSERT INTO found SELECT ?, n FROM ({query})"  # noqa: S608  # nosec B608 - our own text
        self._db.execute(insert, (kind,))
        return self.count(kind)

    def mark(self, kind: str, n: int) -> None:
        """Keep one row as a finding's."""
        self._db.execute("INSERT OR IGNORE INTO found VALUES (?, ?)", (kind, n))

    def count(self, kind: str) -> int:
        """Return the number of a finding's rows."""
        query = "SELECT COUNT(*) FROM found WHERE kind = ?"
        return int(self._db.execute(query, (kind,)).fetchone()[0])

    def first(self, kind: str, limit: int) -> list[int]:
        """Return a finding's first rows."""
        query = "SELECT n FROM found WHERE kind = ? ORDER BY n LIMIT ?"
        return [int(n) for (n,) in self._db.execute(query, (kind, limit))]

    def remove(self, query: str) -> int:
        """Leave out the rows that a query returns; return how many were still there."""
        insert = f"INSERT OR IGNORE INTO removed SELECT n FROM ({query})"  # noqa: S608  # nosec B608 - our own text
        return self._db.execute(insert).rowcount

    def remove_found(self, kind: str) -> int:
        """Leave out the rows of a finding; return how many were still there."""
        insert = "INSERT OR IGNORE INTO removed SELECT n FROM found WHERE kind = ?"
        return self._db.execute(insert, (kind,)).rowcount

    # ------------------------------------------------------------ what is left

    def kept(self) -> Iterator[tuple[int, bool]]:
        """Yield (where its line begins, whether it is held out) of the rows that are left."""
        query = """SELECT at, held_out FROM rows
            WHERE n NOT IN (SELECT n FROM removed) ORDER BY n"""
        with closing(self._db.execute(query)) as found:
            for at, held_out in found:
                yield int(at), bool(held_out)

    def groups(self, *, held_out: bool) -> int:
        """Return the number of groups that a split is left with."""
        query = """SELECT COUNT(DISTINCT grp) FROM rows
            WHERE held_out = ? AND n NOT IN (SELECT n FROM removed)"""
        return int(self._db.execute(query, (held_out,)).fetchone()[0])


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
