"""The tables' versions: none changes without a new one, and old databases are brought up to date.

``schema/N.sql`` has the tables of version N. A new table is added to the newest file; one that is
there is never changed in it, but in a file of the next number, beside a migration.
"""

import importlib
import itertools
import pkgutil
import re
import sqlite3
import threading
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from agent_orchestrator import stores
from agent_orchestrator.errors import ConfigurationError
from agent_orchestrator.stores import migrations
from agent_orchestrator.stores.approvals import ApprovalStore
from agent_orchestrator.stores.database import SCHEMA_VERSION, Database, metadata
from agent_orchestrator.stores.migrations import FIRST_VERSION, MIGRATIONS
from agent_orchestrator.stores.outcomes import OutcomeStore

RECORDS: Final = Path(__file__).with_name("schema")
APPROVAL: Final = (
    "INSERT INTO approvals (seq, id, use_case, request, request_hash, summary, price_ceiling_usd, "
    "requester, created_at, expires_at, status, approver, reason, answered_at, consumed_at) "
    "VALUES (1, 'ap_1', 'promote_canary', '{\"agent\": \"cicd\"}', 'h', 's', "
    "0.5, 'ada', 1.0, 9.0, 'approved', 'bob', 'fine', 2.0, NULL)"
)
JUDGEMENT: Final = (
    "INSERT INTO feedback (seq, request_id, source, score, at, kind, outcome_seq, rollout_id, arm) "
    "VALUES (1, 'r7', 'user', 1.0, 5.0, 'quality', 7, 'ro_1', 'stable')"
)
HOW = (
    f"A new table: record it in schema/{SCHEMA_VERSION}.sql. A change of one that is recorded: a "
    f"migration in stores/migrations.py, and its tables in schema/{SCHEMA_VERSION + 1}.sql."
)


def statements(script: str) -> dict[str, str]:
    """Return the statements of a script by the table or index that each creates."""
    found = (" ".join(text.split()) for text in script.split(";"))
    made = re.compile(r"CREATE (?:UNIQUE )?(?:TABLE|INDEX) (\w+)")
    return {match[1]: text for text in found if (match := made.match(text))}


def tables_of_the_code() -> dict[str, str]:
    """Return the statements that make the tables of all stores."""
    for module in pkgutil.iter_modules(stores.__path__):
        importlib.import_module(f"{stores.__name__}.{module.name}")
    dialect, made = sqlite.dialect(), []
    for table in metadata.tables.values():
        made.append(str(CreateTable(table).compile(dialect=dialect)))
        made += [str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes]
    return statements(";".join(made))


def shape(path: Path) -> dict[str, list[object]]:
    """Return the columns of each table of a database, by name."""
    connection = sqlite3.connect(path)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    found = {
        name: sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({name})"))
        for (name,) in names
    }
    connection.close()
    return found


def make_old(path: Path, version: int, *, leave_out: str = "") -> None:
    """Make a database of an older version, with an approval and a judgement in it."""
    connection = sqlite3.connect(path)
    for name, statement in statements((RECORDS / f"{version}.sql").read_text()).items():
        if not leave_out or leave_out not in name:
            connection.execute(statement)
    connection.execute("INSERT INTO schema_version VALUES (?)", (version,))
    if not leave_out:
        connection.execute(APPROVAL)
        connection.execute(JUDGEMENT)
    connection.commit()
    connection.close()


def test_no_table_changes_without_a_new_version() -> None:
    """What the code makes is what is recorded for its version."""
    recorded = statements((RECORDS / f"{SCHEMA_VERSION}.sql").read_text())
    assert tables_of_the_code() == recorded, HOW


def test_every_version_is_recorded() -> None:
    """Each migration leads from one recorded version to the next, and changes a table."""
    numbers = sorted(int(path.stem) for path in RECORDS.glob("*.sql"))
    assert numbers == list(range(FIRST_VERSION, SCHEMA_VERSION + 1))
    for older, newer in itertools.pairwise(numbers):
        before, after = (statements((RECORDS / f"{n}.sql").read_text()) for n in (older, newer))
        assert any(after.get(name) != text for name, text in before.items())


@pytest.mark.parametrize("version", range(FIRST_VERSION, SCHEMA_VERSION))
def test_an_old_database_becomes_one_of_this_version(tmp_path: Path, version: int) -> None:
    """Its tables are those of a fresh one, and its rows are there."""
    tables_of_the_code()
    make_old(tmp_path / "old.db", version)
    for name in ("old.db", "fresh.db"):
        database = Database(f"sqlite:///{tmp_path / name}")
        with database.read():
            pass
        database.close()
    assert shape(tmp_path / "old.db") == shape(tmp_path / "fresh.db")
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    approval = ApprovalStore(database).get("ap_1")
    assert (approval.status, approval.editors, approval.replaced_by) == ("approved", (), None)
    assert approval.request == {"agent": "cicd"}
    (judged,) = OutcomeStore(database).feedback_after("ro_1", 0, 9)
    assert (judged.outcome_seq, judged.after_outcome) == (7, 7)
    database.close()


def test_a_database_without_some_tables_is_migrated_too(tmp_path: Path) -> None:
    """A process makes only the tables that it uses; the missing ones come later, and right."""
    make_old(tmp_path / "old.db", FIRST_VERSION, leave_out="approvals")
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    assert ApprovalStore(database).recent(9) == []
    database.close()


def test_threads_and_connections_migrate_once(tmp_path: Path) -> None:
    """Eight that begin at once on an old database all find one of this version."""
    make_old(tmp_path / "old.db", FIRST_VERSION)
    databases = [Database(f"sqlite:///{tmp_path / 'old.db'}") for _ in range(8)]
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda d=d: found.append(ApprovalStore(d).get("ap_1").status))
        for d in databases
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["approved"] * 8
    for database in databases:
        database.close()


def test_a_migration_that_breaks_off_leaves_the_old_version(tmp_path: Path) -> None:
    """All or nothing: the next start finds the tables as they were, and tries again."""
    make_old(tmp_path / "old.db", FIRST_VERSION)
    connection = sqlite3.connect(tmp_path / "old.db")
    connection.execute("ALTER TABLE approvals ADD COLUMN replaced_by VARCHAR")  # made by hand
    connection.commit()
    before = shape(tmp_path / "old.db")
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    with pytest.raises(Exception, match="duplicate column name"):
        ApprovalStore(database).recent(1)
    assert shape(tmp_path / "old.db") == before
    connection.execute("ALTER TABLE approvals DROP COLUMN replaced_by")
    connection.close()
    assert ApprovalStore(database).get("ap_1").status == "approved"
    database.close()


@pytest.mark.parametrize("version", [FIRST_VERSION - 1, SCHEMA_VERSION + 1])
def test_a_version_that_is_not_known_is_left_alone(tmp_path: Path, version: int) -> None:
    """Too old or too new: said so, and nothing is touched."""
    make_old(tmp_path / "old.db", FIRST_VERSION)
    connection = sqlite3.connect(tmp_path / "old.db")
    connection.execute("UPDATE schema_version SET version = ?", (version,))
    connection.commit()
    connection.close()
    before = shape(tmp_path / "old.db")
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    with pytest.raises(ConfigurationError, match=f"has schema {version}; this program knows"):
        ApprovalStore(database).recent(1)
    assert shape(tmp_path / "old.db") == before
    database.close()


def test_migrations_are_named_and_explained() -> None:
    """Each is a function of its own, with a sentence."""
    assert all(migration.__doc__ for migration in MIGRATIONS)
    assert len({migration.__name__ for migration in MIGRATIONS}) == len(MIGRATIONS)
    assert migrations.__doc__


@pytest.mark.slow
def test_an_old_postgresql_database_is_migrated_too(postgres_url: str) -> None:
    """The same functions bring its approvals up to date."""
    old = statements((RECORDS / f"{FIRST_VERSION}.sql").read_text())["approvals"]
    database = Database(postgres_url)
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE approvals")
        connection.exec_driver_sql("ALTER TABLE feedback DROP COLUMN after_outcome")
        connection.exec_driver_sql(old.replace("FLOAT", "DOUBLE PRECISION"))
        connection.exec_driver_sql(APPROVAL)
        connection.execute(metadata.tables["schema_version"].update().values(version=FIRST_VERSION))
    database.close()
    database = Database(postgres_url)
    approval = ApprovalStore(database).get("ap_1")
    assert (approval.status, approval.editors, approval.details) == ("approved", (), {})
    database.close()
