"""``chef gateway keys``: made, listed and revoked."""

from tests.cli.conftest import Chef
from tests.doubles.workspace import Workspace

from agent_orchestrator.stores.gateway_keys import GatewayKeys
from agent_orchestrator.stores.key_files import fingerprint


def test_a_key_is_shown_once(chef: Chef, workspace: Workspace):
    """The list has its hash, the audit log its name."""
    key = chef("gateway", "keys", "add", "ci", "--json").json["key"]
    [kept] = chef("gateway", "keys", "list", "--json").json
    assert (kept["name"], kept["sha256"]) == ("ci", fingerprint(key))
    shown = chef("gateway", "keys", "list").out + chef("audit").out
    assert "ci" in shown
    assert key not in shown
    assert chef("gateway", "keys", "add", "ci").code == 1
    assert chef("gateway", "keys", "revoke", "ci").code == 0
    assert GatewayKeys(workspace.settings().gateway_keys_file).read() == ()
    assert chef("gateway", "keys", "revoke", "ci").code == 2
