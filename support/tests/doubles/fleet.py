"""An installation at work: several gateways, a timer and a command line, each a real process.

The models live on one upstream and answer with their own names, so that every answer says who gave
it. ``disagreement`` compares what registry, models.yaml, rollouts and gateways say.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from tests.doubles.fork_server import ForkServer, Process
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.ports import free_port
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.agents.infrastructure.modelops.rollouts.desired import desired
from agent_orchestrator.domain.routing import RoutingTable, choose_arm, entry_digest
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.gateways import process_name, running_gateways
from agent_orchestrator.stores.journal import IntentJournal
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.stores.rollouts import RolloutStore
from agent_orchestrator.stores.serving import ServingBoard

AGENT: Final = "code_review"
STABLE_MODEL: Final = "acme/stable"
MODELS: Final = (STABLE_MODEL, "acme/one", "acme/two")
"""The first is unregistered; the others are v1.0.0 and v1.1.0."""
POLICY: Final = {
    "steps": "[20, 50, 100]",
    "min_step_seconds": "3600",
    "max_step_seconds": "7200",
    "guard_seconds": "3600",
}
_TASKS: Final = tuple(f"task-{number}" for number in range(24))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway answered: who it said it was, and which arm the gateway named."""

    model: str
    arm: str


class Gateway:
    """One gateway."""

    def __init__(self, workspace: Workspace, server: ForkServer) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {**workspace.variables, "CHEF_GATEWAY_PORT": str(self.port)}
        self._server = server
        self._running: Process | None = None

    def start(self) -> None:
        """Start it; it listens a little later."""
        module = "agent_orchestrator.wiring.gateway_process"
        self._running = self._server.start(module, ["--no-token"], self._environment)

    @property
    def process(self) -> str:
        """The name that it reports under."""
        return process_name(self._process.pid)

    def kill(self) -> None:
        """Kill it as SIGKILL does."""
        self._process.kill()

    def pause(self) -> None:
        """Let it hang, until ``go_on``."""
        self._process.send(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        self._process.send(signal.SIGCONT)

    @property
    def _process(self) -> Process:
        assert self._running is not None, "it was never started"
        return self._running


class Fleet:
    """The installation; an async context manager. Rollouts are of ``AGENT``."""

    def __init__(
        self,
        folder: Path,
        *,
        gateways: int = 2,
        variables: Mapping[str, str] | None = None,
        **policy: str,
    ) -> None:
        """``variables`` add to the environment, ``policy`` replaces values of rollouts' policy."""
        usual = {"CHEF_TIMER_SECONDS": "0.1", "CHEF_LOG_LEVEL": "WARNING"}
        self.workspace = Workspace(folder, {**usual, **(variables or {})})
        self._policy = {**POLICY, **policy}
        self._server = ForkServer(folder / "fleet.log")
        self.models = OpenAIServer(lambda body: Reply(body["model"]), models=MODELS)
        self.gateways = [Gateway(self.workspace, self._server) for _ in range(gateways)]
        self._timer: Process | None = None
        settings = self.workspace.settings()
        self.database = Database(settings.database)
        self.yaml = ModelsYaml(settings.models_yaml)
        self.registry = ModelRegistry(settings.registry_json)
        self.rollouts = RolloutStore(self.database)
        self.journal = IntentJournal(self.database)
        self.board = ServingBoard(self.database)
        self.audit = AuditLog(self.database)

    async def __aenter__(self) -> Self:
        await self.models.__aenter__()
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        self._furnish()
        for gateway in self.gateways:
            gateway.start()
        for gateway in self.gateways:
            await self.ready(gateway)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        await self._http.close()
        await self.models.__aexit__(kind, error, trace)
        self.database.close()

    def _furnish(self) -> None:
        """Write the configuration and register two versions."""
        models = "".join(
            f'  {model}: {{provider: self_hosted, endpoints: ["{self.models.url}"]}}\n'
            for model in MODELS
        )
        self.workspace.models_yaml.write_text(
            "openrouter:\n"
            "  agent_models:\n"
            f"    {AGENT}: {STABLE_MODEL}   # people's comment\n"
            f"    cicd: {STABLE_MODEL}\n"
            f"models:\n{models}"
        )
        policy = self.workspace.config / "modelops" / "rollout_defaults.yaml"
        lines = [
            f"{key}: {self._policy[key]}" if key in self._policy else line
            for line in policy.read_text().splitlines()
            for key in [line.split(":")[0]]
        ]
        policy.write_text("\n".join(lines) + "\n")
        for model in MODELS[1:]:
            version = self.registry.add_model_version(AGENT, model_id=model).version
            scores = {"accuracy": 0.9, "recommendation": "deploy"}
            self.registry.update_evaluation_scores(AGENT, version, scores)

    # -- processes --------------------------------------------------------------------------------

    async def ready(self, gateway: Gateway) -> None:
        """Wait until a gateway answers and has reported what it serves."""
        deadline = time.monotonic() + 60
        while True:
            try:
                await self.ask(gateway, "task")
            except aiohttp.ClientError:
                assert time.monotonic() < deadline, f"{gateway.url} does not answer"
                await asyncio.sleep(0.01)
            else:
                break
        while not self._is_known(gateway.process):
            assert time.monotonic() < deadline, f"{gateway.process} does not report"
            await asyncio.sleep(0.01)

    def _is_known(self, process: str) -> bool:
        """Return whether a gateway has said that it lives and what it serves."""
        living = running_gateways(self.workspace.settings().gateways_dir)
        reports = self.board.of(AGENT, time.time())
        return all(process in {who.process for who in said} for said in (living, reports))

    def start_timer(self) -> None:
        """Start the timer."""
        module = "agent_orchestrator.wiring.timer_process"
        self._timer = self._server.start(module, [], self.workspace.variables)

    def kill_timer(self) -> None:
        """Kill the timer if it runs."""
        if self._timer is not None:
            self._timer.kill()
            self._timer = None

    def start(self, *arguments: str) -> Process:
        """Start ``chef`` with arguments."""
        module = "agent_orchestrator.cli.main"
        return self._server.start(module, arguments, self.workspace.variables)

    async def run(self, *arguments: str) -> int:
        """Run ``chef`` to its end; return its exit code."""
        return await asyncio.to_thread(self.start(*arguments).wait)

    # -- what serves ------------------------------------------------------------------------------

    async def ask(self, gateway: Gateway, task: str) -> Answer:
        """Ask a gateway in a task's name. Raises aiohttp.ClientError."""
        body = {"model": f"agent/{AGENT}", "messages": [{"role": "user", "content": "Who?"}]}
        headers = {"X-Task-Id": task}
        url = f"{gateway.url}/v1/chat/completions"
        async with self._http.post(url, json=body, headers=headers) as response:
            response.raise_for_status()
            said: dict[str, Any] = await response.json()
            model: str = said["choices"][0]["message"]["content"]
            return Answer(model, response.headers["X-Chef-Arm"])

    async def followed(self, seconds: float = 60.0) -> None:
        """Wait until every gateway says that it serves by models.yaml as it is."""
        begun = time.monotonic()
        while True:
            entry = entry_digest(await asyncio.to_thread(self.yaml.read), AGENT)
            reports = await asyncio.to_thread(self.board.of, AGENT, time.time())
            following = {r.process for r in reports if r.periods[-1].entry == entry}
            if following >= {gateway.process for gateway in self.gateways}:
                return
            assert time.monotonic() - begun < seconds, f"only {following} follow"
            await asyncio.sleep(0.02)

    async def agreement(self, seconds: float = 60.0) -> float:
        """Wait until everything that says what serves says the same; return for how long.

        Raises AssertionError with what differs.
        """
        begun = time.monotonic()
        while True:
            found = await self.disagreement()
            waited = time.monotonic() - begun
            if not found:
                return waited
            assert waited < seconds, "\n".join(found)
            await asyncio.sleep(0.02)

    async def disagreement(self) -> list[str]:
        """Return what does not agree, one line each."""
        pending = await asyncio.to_thread(self.journal.pending)
        if pending:
            return [f"unfinished: {entry.kind} {entry.id}" for entry in pending]
        table = await asyncio.to_thread(self.yaml.read)
        found = await asyncio.to_thread(self._records, table)
        for gateway in self.gateways:
            found += await self._served(gateway, table)
        if await asyncio.to_thread(self.yaml.read) != table:
            return ["models.yaml is just changing"]
        return found

    def _records(self, table: RoutingTable) -> list[str]:
        """Compare models.yaml, registry and rollout."""
        state = self.rollouts.latest(AGENT)
        if state is None:
            said = (table.agent_models[AGENT], table.rollouts.get(AGENT))
            return [] if said == (STABLE_MODEL, None) else [f"without a rollout: {said}"]
        want, record = desired(state), self.registry.agent(AGENT)
        pairs: Sequence[tuple[str, object, object]] = (
            ("model in models.yaml", table.agent_models[AGENT], want.agent_model),
            ("split in models.yaml", table.rollouts.get(AGENT), want.rollout),
            ("current in the registry", record.current, want.current),
            ("canary in the registry", record.canary, want.canary),
            ("the other agent's model", table.agent_models["cicd"], STABLE_MODEL),
        )
        return [f"{what}: {said!r}, not {due!r}" for what, said, due in pairs if said != due]

    async def _served(self, gateway: Gateway, table: RoutingTable) -> list[str]:
        """Compare models.yaml with what a gateway serves and reports."""
        rollout = table.rollouts.get(AGENT)
        found = []
        answers = await asyncio.gather(*(self.ask(gateway, task) for task in _TASKS))
        for task, answer in zip(_TASKS, answers, strict=True):
            arm = choose_arm(table.arms(AGENT), task, rollout.id if rollout else AGENT)
            if (answer.model, answer.arm) != (arm.model, arm.name):
                found.append(f"{gateway.process} serves {task} by {answer}, not by {arm}")
        reports = await asyncio.to_thread(self.board.of, AGENT, time.time())
        said = [r.periods[-1].entry for r in reports if r.process == gateway.process]
        if said != [entry_digest(table, AGENT)]:
            found.append(f"{gateway.process} reports {said}, not {entry_digest(table, AGENT)}")
        return found
