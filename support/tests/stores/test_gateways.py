"""Who runs and where: the gateways' own files, and what dead ones leave."""

import json
import subprocess
import sys
from pathlib import Path

from agent_orchestrator.stores.gateways import GatewayAddress, announced, running_gateways

DIES = """
import os, signal, sys
from pathlib import Path
from agent_orchestrator.stores.gateways import announced
with announced(Path(sys.argv[1]), "127.0.0.1", 8130):
    print("here", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_gateway_is_found_for_as_long_as_it_runs(tmp_path: Path):
    """Several stand side by side, by port; each takes back its own."""
    with announced(tmp_path, "127.0.0.1", 8131) as second, announced(tmp_path, "::1", 8130):
        assert [found.port for found in running_gateways(tmp_path)] == [8130, 8131]
        assert [found.url for found in running_gateways(tmp_path)] == [
            "http://[::1]:8130",
            "http://127.0.0.1:8131",
        ]
        assert second in running_gateways(tmp_path)
    assert running_gateways(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_gateway_left_is_recognised_and_removed(tmp_path: Path):
    """The kernel lets go of its lock, whatever process has its number now."""
    command = [sys.executable, "-c", DIES, str(tmp_path)]
    killed = subprocess.run(command, capture_output=True, check=False, text=True)
    assert killed.stdout == "here\n"
    assert len(list(tmp_path.iterdir())) == 1
    assert running_gateways(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_no_folder_is_no_gateway(tmp_path: Path):
    """Nothing has ever run here."""
    assert running_gateways(tmp_path / "none") == []


def test_the_address_is_plain_data(tmp_path: Path):
    """Other tools may read the file."""
    with announced(tmp_path, "127.0.0.1", 8130) as address:
        [file] = tmp_path.iterdir()
        assert json.loads(file.read_text()) == {
            "port": 8130,
            "host": "127.0.0.1",
            "pid": address.pid,
            "asks_for_key": True,
        }
    assert GatewayAddress(1, "a", 2) < GatewayAddress(2, "a", 1)
