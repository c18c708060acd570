"""An installation with a history, and its API: for whoever takes pictures of views or tests them.

    PYTHONPATH=support python -m tests.doubles.pictured_state FOLDER [--port N] [--no-token]

The folder is filled on the first run and kept. Prints one line of JSON when the API serves: its
``url``, a ``tokens`` for each role (unless none is needed), and the ids of what there is to look at
(``pictured_history.History``). Serves until SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, get_args

import httpx
from tests.doubles import pictured_history as pictured  # sets the clock: before all of ours
from tests.doubles.openai_server import OpenAIServer
from tests.doubles.pictured_rollouts import ADA, OLGA
from tests.doubles.ports import free_neighbours
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.domain.roles import Role
from agent_orchestrator.stores.access_tokens import AccessTokens
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.health import BreakerReport, HealthBoard
from agent_orchestrator.stores.rollouts import RolloutStore

_REPORT_SECONDS = 5.0


class PicturedState:
    """The installation, its models, and the process of its API."""

    def __init__(self, folder: Path, port: int, *, token_needed: bool) -> None:
        variables = {
            "CHEF_LLAMA_CPP": str(folder / "llama.cpp"),
            "CHEF_API_PORT": str(port),
            "CHEF_API_HOST": "127.0.0.1",
        }
        self.workspace = Workspace(folder, variables)
        self.url = f"http://127.0.0.1:{port}"
        self._token_needed = token_needed
        self._api: asyncio.subprocess.Process | None = None

    async def open(self, models: str) -> dict[str, Any]:
        """Fill it, serve it; return what it says of itself."""
        known = self.workspace.folder / "pictured.json"
        if not known.exists():
            history = await pictured.make_history(self.workspace, models)
            known.write_text(pictured.say(history), encoding="utf-8")
        tokens = self._tokens() if self._token_needed else {}
        await self.start_api()
        return {"url": self.url, "tokens": tokens, **json.loads(known.read_text("utf-8"))}

    def _tokens(self) -> dict[str, str]:
        """Return a token for each role; the admin is ada, who approves what olga asks for."""
        keys = AccessTokens(self.workspace.settings().api_tokens_file)
        names = {"admin": ADA.name, "operator": OLGA.name}
        made: dict[str, str] = {}
        for role in get_args(Role):
            name = names.get(role, role)
            if name in {known.name for known in keys.read()}:
                keys.revoke(name)
            made[role] = keys.add(name, role, time.time())
        return made

    async def start_api(self) -> None:
        """Start the API's process; return when it answers."""
        arguments = [] if self._token_needed else ["--no-token"]
        printed = self.workspace.folder / "api.log"
        with printed.open("ab") as log:
            self._api = api = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "agent_orchestrator.api.process", *arguments),
                env=self.workspace.variables,
                stdout=log,
                stderr=log,
            )

        def look() -> bool:
            assert api.returncode is None, printed.read_text()
            try:
                return httpx.get(f"{self.url}/health").is_success
            except httpx.TransportError:
                return False

        await eventually(look)

    async def stop_api(self) -> None:
        """End the API's process."""
        if self._api is not None and self._api.returncode is None:
            self._api.terminate()
            await self._api.wait()

    async def report_health(self) -> None:
        """Say again and again, as a gateway would, that all arms of what runs are well."""
        database = Database(self.workspace.settings().database)
        rollouts, board = RolloutStore(database), HealthBoard(database)
        while True:
            running = [state for agent in pictured.SERVED if (state := rollouts.running(agent))]
            well = [
                BreakerReport(state.agent, arm.name, "closed", calls=12)
                for state in running
                for arm in state.arms
                if arm.weight or arm.mirror
            ]
            await asyncio.to_thread(board.report, "gateway-17827", well, time.time())
            await asyncio.sleep(_REPORT_SECONDS)

    def end_jobs(self) -> None:
        """Kill the processes of jobs that run."""
        for record in (self.workspace.state / "jobs").glob("*/process.json"):
            try:
                os.kill(json.loads(record.read_text("utf-8"))["pid"], signal.SIGKILL)
            except ProcessLookupError:
                continue


async def _main(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    port_file = arguments.folder / "models.port"
    models_port = int(port_file.read_text()) if port_file.exists() else free_neighbours()
    shown = PicturedState(
        arguments.folder, arguments.port or free_neighbours(), token_needed=not arguments.no_token
    )
    port_file.write_text(str(models_port))
    generations = ("", *pictured.GENERATIONS)
    served = [f"acme/{agent}{after}" for agent in pictured.SERVED for after in generations]
    async with OpenAIServer(pictured.answer, models=served, port=models_port) as models:
        try:
            print(json.dumps(await shown.open(models.url)), flush=True)
            health = asyncio.create_task(shown.report_health())
            await stop.wait()
            health.cancel()
        finally:
            await shown.stop_api()
            shown.end_jobs()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, help="of the API; a free one when left out")
    parser.add_argument("--no-token", action="store_true", help="serve this user without a token")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if not (arguments.folder / "pictured.json").exists():
        shutil.rmtree(arguments.folder)  # a run that was cut off
        arguments.folder.mkdir()
    asyncio.run(_main(arguments))


if __name__ == "__main__":
    main()
