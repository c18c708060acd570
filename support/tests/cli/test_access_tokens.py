"""``chef api tokens``: made, listed and revoked."""

from tests.cli.conftest import Chef
from tests.doubles.workspace import Workspace

from agent_orchestrator.stores.access_tokens import AccessTokens
from agent_orchestrator.stores.key_files import fingerprint


def test_a_token_is_shown_once(chef: Chef, workspace: Workspace):
    """The list has its hash and role, the audit log its name."""
    token = chef("api", "tokens", "add", "ann", "--role", "approver", "--json").json["token"]
    [kept] = chef("api", "tokens", "list", "--json").json
    assert (kept["name"], kept["role"]) == ("ann", "approver")
    assert kept["sha256"] == fingerprint(token)
    shown = chef("api", "tokens", "list").out + chef("audit").out
    assert "ann" in shown
    assert token not in shown
    taken = chef("api", "tokens", "add", "ann", "--role", "viewer")
    assert (taken.code, "chef api tokens revoke ann" in taken.err) == (1, True)
    assert chef("api", "tokens", "revoke", "ann").code == 0
    assert AccessTokens(workspace.settings().api_tokens_file).read() == ()
    assert chef("api", "tokens", "revoke", "ann").code == 2


def test_a_token_needs_a_role(chef: Chef):
    """Nobody gets more by leaving it out, or one that there is not."""
    assert chef("api", "tokens", "add", "ann").code == 2
    assert chef("api", "tokens", "add", "ann", "--role", "root").code == 2
