"""``chef threads``: what is kept of conversations."""

from tests.cli.conftest import Chef
from tests.doubles.workspace import Workspace

from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.thread_events import ThreadEventStore


def test_conversations_are_listed_and_pruned(chef: Chef, workspace: Workspace):
    """A dry run removes nothing; those that are young stay."""
    database = Database(workspace.settings().database)
    old, young = ThreadEventStore(database, clock=lambda: 5.0), ThreadEventStore(database)
    old.append_many([("old", {"type": "end", "waiting": "answer"})])
    young.append_many([("young", {"type": "end", "waiting": None})])
    listed = chef("threads", "list", "--json").json
    assert [(one["thread_id"], one["waiting"]) for one in listed] == [
        ("young", None),
        ("old", "answer"),
    ]
    assert "1970-01-01" in chef("threads", "list").out
    expected = {"conversations": ["old"], "states": 0}
    assert chef("threads", "prune", "--dry-run", "--json").json == {**expected, "dry_run": True}
    assert chef("threads", "prune", "--days", "0", "--json").json["conversations"] == []
    assert "Removed 1 conversations" in chef("threads", "prune").out
    assert [one["thread_id"] for one in chef("threads", "list", "--json").json] == ["young"]
    assert "prune" in chef("audit").out
    database.close()
