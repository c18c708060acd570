"""``chef serve`` as people run it: processes that come, come again, and all go."""

import asyncio
import json
import os
import pty
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import psutil
import pytest
from tests.doubles.ports import free_neighbours
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.settings import own_python
from agent_orchestrator.stores.gateways import GatewayAddress, running_gateways
from agent_orchestrator.wiring import supervisor
from agent_orchestrator.wiring.embedded import compose

TOKEN = "t0ken-of-this-test-4711"
CHEF = (own_python(), "-m", "agent_orchestrator")

Serve = Callable[..., psutil.Popen]


@pytest.fixture
def serve(workspace: Workspace) -> Iterator[Serve]:
    """Return what starts ``chef serve``; its stderr goes to ``serve.log``."""
    workspace.variables |= {
        "CHEF_GATEWAY_TOKEN": TOKEN,
        "CHEF_GATEWAY_PORT": "0",
        "CHEF_API_PORT": "0",
    }
    started: list[psutil.Popen] = []

    def start(*options: str) -> psutil.Popen:
        with (workspace.folder / "serve.log").open("ab") as log:
            command = (*CHEF, "serve", *options)
            started.append(psutil.Popen(command, env=workspace.variables, stderr=log))
        return started[-1]

    yield start
    for process in started:
        if process.is_running():
            process.kill()
        process.wait()


def chef(workspace: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command."""
    return subprocess.run(
        (*CHEF, *arguments), env=workspace.variables, capture_output=True, text=True, check=False
    )


def states(workspace: Workspace) -> dict[str, str]:
    """Return what ``chef status`` says of the processes."""
    overview = compose(workspace.settings()).overview.read()
    return {
        f"{process.name} {process.address or ''}".rstrip(): process.state
        for process in overview.processes
    }


async def running(workspace: Workspace, process: psutil.Popen) -> dict[str, psutil.Process]:
    """Wait until all serve; return them by the module that they run."""
    await eventually(
        lambda: (
            process.poll() is not None or set(states(workspace).values()) <= {"ready", "running"}
        )
    )
    assert process.poll() is None, (workspace.folder / "serve.log").read_text()
    return {child.cmdline()[2].rsplit(".")[-1]: child for child in process.children()}


async def get(workspace: Workspace, **headers: str) -> int:
    """Ask the gateway for its models; return the status."""
    [address] = running_gateways(workspace.settings().gateways_dir)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{address.url}/v1/models", headers=headers) as response,
    ):
        return response.status


async def test_everything_serves_and_ends_in_good_order(workspace: Workspace, serve: Serve):
    """The token is asked for, and stands nowhere; SIGTERM ends all and leaves nothing behind."""
    process = serve()
    children = await running(workspace, process)
    status = json.loads(chef(workspace, "status", "--json").stdout)["processes"]
    assert [(process["name"], process["state"]) for process in status] == [
        ("gateway", "ready"),
        ("api", "ready"),
        ("model server", "running"),
        ("timer", "running"),
    ]
    assert status[0]["pid"] == children["gateway_process"].pid
    assert await get(workspace) == 401
    assert await get(workspace, Authorization=f"Bearer {TOKEN}") == 200
    lines = [" ".join(p.cmdline()) for p in (process, *process.children(recursive=True))]
    assert len(lines) == 5
    assert not [line for line in lines if TOKEN in line]
    process.terminate()
    assert process.wait(60) == 0
    assert not psutil.wait_procs(list(children.values()), timeout=1)[1]
    settings = workspace.settings()
    assert not settings.model_socket.exists()
    assert running_gateways(settings.gateways_dir) == []
    assert not [path for path in _files(workspace.folder) if TOKEN.encode() in path.read_bytes()]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_crashed_process_comes_back_and_none_outlives_a_killed_parent(
    workspace: Workspace, serve: Serve
):
    """One that crashes is started again alone; SIGKILL of the whole leaves no orphan."""
    process = serve()
    before = await running(workspace, process)
    before["gateway_process"].kill()
    await eventually(lambda: "again in" in (workspace.folder / "serve.log").read_text())
    after = await running(workspace, process)
    assert after["gateway_process"].pid != before["gateway_process"].pid
    assert after["timer_process"].pid == before["timer_process"].pid
    assert await get(workspace, Authorization=f"Bearer {TOKEN}") == 200
    process.kill()
    process.wait()
    assert not psutil.wait_procs(list(after.values()), timeout=60)[1]
    assert set((await asyncio.to_thread(states, workspace)).values()) == {"stopped"}


async def test_of_two_gateways_a_killed_one_comes_back_where_it_was(
    workspace: Workspace, serve: Serve
):
    """Clients that know both addresses find it again; meanwhile the other one serves."""
    port = free_neighbours()
    workspace.variables["CHEF_GATEWAY_PORT"] = str(port)
    folder = workspace.settings().gateways_dir
    serve("--gateways", "2", "--no-local-models", "--no-api")
    before = await eventually(lambda: two(running_gateways(folder)))
    assert [address.port for address in before] == [port, port + 1]
    found = [f"gateway 127.0.0.1:{address.port}" for address in before]
    await eventually(lambda: [states(workspace).get(name) for name in found] == ["ready"] * 2)
    os.kill(before[1].pid, signal.SIGKILL)
    await eventually(lambda: before[1] not in running_gateways(folder))
    after = await eventually(lambda: two(running_gateways(folder)))
    assert after[0] == before[0]
    assert after[1].port == port + 1


async def test_the_api_asks_for_a_token_that_may_be_made_while_it_runs(
    workspace: Workspace, serve: Serve
):
    """Without one nobody is let in; SIGTERM ends it in good order."""
    process = serve("--no-local-models")
    settings = workspace.settings()
    [api] = await eventually(lambda: running_gateways(settings.api_dir))

    def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.post(
            f"{api.url}/modelops/list_costs", json={}, headers=headers, timeout=60
        ).status_code

    assert await asyncio.to_thread(status, "of-nobody") == 401
    added = chef(workspace, "api", "tokens", "add", "ann", "--role", "viewer", "--json")
    token = json.loads(added.stdout)["token"]
    await eventually(lambda: status(token) == 200)
    process.terminate()
    assert process.wait(60) == 0
    assert running_gateways(settings.api_dir) == []
    said = (workspace.folder / "serve.log").read_text()
    assert "Nobody has an access token yet" in said
    assert f"Serving on {api.url} (in a browser" in said


def two(found: list[GatewayAddress]) -> list[GatewayAddress] | None:
    """Return them when there are two."""
    return found if len(found) == 2 else None


def test_ports_that_do_not_exist_are_refused(workspace: Workspace):
    """The last gateway's port counts."""
    done = chef(workspace, "serve", "--no-token", "--port", "65535", "--gateways", "2")
    assert done.returncode == 2
    assert "2 gateways from port 65535" in done.stderr


async def test_an_address_that_is_taken_ends_it_with_one_clear_line(
    workspace: Workspace, serve: Serve
):
    """Exit code 2, the gateway's message, no restart, nothing left running."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = serve("--port", str(taken.getsockname()[1]))
        await eventually(process.children)
        children = process.children()
        assert process.wait(60) == 2
    said = (workspace.folder / "serve.log").read_text()
    assert "Cannot listen on 127.0.0.1" in said
    assert "Error: The gateway cannot run as it is configured." in said
    assert "again in" not in said
    assert "Traceback" not in said
    assert not psutil.wait_procs(children, timeout=1)[1]


async def test_the_local_models_can_be_done_without(workspace: Workspace, serve: Serve):
    """Who serves only models elsewhere needs no training engine."""
    workspace.variables["CHEF_TRAINER_PYTHON"] = "/no/such/python"
    refused = chef(workspace, "serve")
    assert refused.returncode == 2
    assert "CHEF_TRAINER_PYTHON='/no/such/python'" in refused.stderr
    assert "--no-local-models" in refused.stderr
    process = serve("--no-local-models", "--no-api")
    await eventually(lambda: "ready" in states(workspace).values())
    assert await get(workspace, Authorization=f"Bearer {TOKEN}") == 200
    assert len(process.children()) == 2


def test_without_a_terminal_a_token_must_be_given(workspace: Workspace):
    """A token that is made up would end in a log."""
    done = chef(workspace, "serve")
    assert done.returncode == 2
    assert "CHEF_GATEWAY_TOKEN is not set" in done.stderr
    assert "CHEF_GATEWAY_TOKEN=" not in done.stderr


def test_at_a_terminal_a_token_is_made_and_shown_once(workspace: Workspace):
    """Whoever sits there copies it from the screen."""
    workspace.variables["CHEF_GATEWAY_PORT"] = "0"
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        (*CHEF, "serve", "--no-api"), env=workspace.variables, stderr=theirs
    ) as process:
        os.close(theirs)
        screen = b""
        while b"started" not in screen:
            screen += os.read(ours, 1024)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    os.close(ours)
    shown = [line for line in screen.splitlines() if line.startswith(b"CHEF_GATEWAY_TOKEN=")]
    assert len(shown) == 1
    assert len(shown[0]) > 40


# -- who knows which keys -------------------------------------------------------------------------


def environments(workspace: Workspace, **more: str) -> dict[str, Any]:
    """Return each service's environment when ours holds every key there is."""
    workspace.variables |= {
        "HUGGINGFACE_TOKEN": "hf_k",
        "OPENROUTER_API_KEY": "or_k",
        "LANGSMITH_API_KEY": "ls_k",
        "MY_MODEL_KEY": "my_k",
        **more,
    }
    found = supervisor.services(workspace.settings(), token=TOKEN)
    return {service.name: service.environment for service in found}


def test_the_gateways_leave_the_apis_port_out(workspace: Workspace):
    """Two gateways and the API fit side by side as they are configured by default."""
    settings = workspace.settings().model_copy(update={"gateways": 2})
    found = supervisor.services(settings, token=TOKEN)
    ports = [one.environment["CHEF_GATEWAY_PORT"] for one in found if one.group == "gateways"]
    assert ports == ["8130", "8132"]
    [api] = [one for one in found if one.name == "api"]
    assert api.environment["CHEF_API_PORT"] == "8131"


def test_the_model_server_knows_no_key(workspace: Workspace):
    """It needs none, and loads what others made."""
    found = environments(workspace, CHEF_GATEWAY_TOKEN=TOKEN, CUDA_VISIBLE_DEVICES="1")
    known = found["model server"]
    assert known["CUDA_VISIBLE_DEVICES"] == "1"
    assert known["HF_HUB_OFFLINE"] == "1"
    assert not [value for value in known.values() if value.endswith("_k") or value == TOKEN]


def test_only_the_gateway_knows_its_token(workspace: Workspace):
    """It also needs the models' keys; the timer has no use for the token."""
    found = environments(workspace, CHEF_GATEWAY_TOKEN="of-the-environment")
    assert found["gateway"]["CHEF_GATEWAY_TOKEN"] == TOKEN
    assert found["gateway"]["MY_MODEL_KEY"] == "my_k"
    assert "CHEF_GATEWAY_TOKEN" not in found["timer"]
