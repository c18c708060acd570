"""The benchmark of the outcome store: its writers write, and the page shows what is kept."""

import json
from pathlib import Path

import outcome_store

from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.outcomes import OutcomeStore

ROOT = Path(__file__).resolve().parents[3]


def test_every_writer_writes_the_same_rows(tmp_path: Path) -> None:
    """A short run has a rate and a cost for each, and all rows are in the table."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    rows = outcome_store.contest("sqlite", url, rounds=1, sizes=(1, 5), rows=10)
    assert {(row["batch"], row["writer"]) for row in rows} == {
        *((batch, writer) for batch in (1, 5) for writer in ("store", "driver", "core")),
        (1, "row"),
    }
    assert all(row["per_second"][0] > 0 and row["cpu_us"][0] > 0 for row in rows)
    database = Database(url)
    written = 2 * (4 * 10 + 3 * 4 * 5)  # two rounds; at least four batches each
    assert OutcomeStore(database).position()[0] == written
    database.close()


def test_the_guide_shows_the_results_that_are_kept() -> None:
    """The table of the documentation is that of the kept JSON."""
    page = (ROOT / "support/docs/SERVING_GUIDE.md").read_text()
    kept = json.loads(outcome_store.RESULTS.read_text())
    shown = page.split("<!-- outcome_store -->\n")[1].split("\n<!-- /outcome_store -->")[0]
    assert shown == outcome_store.page_table(kept)
