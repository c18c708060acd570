"""The gateway over the real models.yaml and the real store: what is written is what serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.doubles.openai_server import OpenAIServer, Reply
from tests.serving.harness import AGENT, CANDIDATE, STABLE, Gateway, gateway

from agent_orchestrator.domain.routing import Arm, Endpoint, Rollout
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.models_yaml import ModelsYaml, RoutingTableSource
from agent_orchestrator.stores.outcomes import OutcomeStore

TEXT = f"""\
openrouter:
  agent_models:
    {AGENT}: {STABLE}   # people's comment
"""


def canary(weight: int) -> Rollout:
    """Return a canary with this share for the candidate."""
    arms = (
        Arm("stable", STABLE, "v1.0.0", 100 - weight),
        Arm("candidate", CANDIDATE, "v1.1.0", weight),
    )
    return Rollout("ro_1", "canary", arms)


@asynccontextmanager
async def team(tmp_path: Path) -> AsyncIterator[tuple[Gateway, ModelsYaml, OutcomeStore]]:
    """Serve from files of their own, with both models up."""
    file = ModelsYaml(tmp_path / "models.yaml")
    file.path.write_text(TEXT)
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    store = OutcomeStore(database)
    async with OpenAIServer(Reply("s")) as stable, OpenAIServer(Reply("c")) as candidate:
        for model, server in ((STABLE, stable), (CANDIDATE, candidate)):
            file.add_endpoint(Endpoint(model, "self_hosted", (server.url,)))
        async with gateway(RoutingTableSource(file.path), sink=store) as running:
            yield running, file, store
    database.close()


async def arm_of(running: Gateway, task: str) -> str:
    """Return the arm that answers a task."""
    response = await running.chat(headers={"X-Task-Id": task})
    assert response.status == 200
    return response.headers["X-Chef-Arm"]


async def health_of(running: Gateway) -> str:
    """Return what /health says."""
    status: str = (await (await running.http.get("/health")).json())["status"]
    return status


async def test_a_new_split_serves_without_a_restart_and_drops_no_request(tmp_path: Path):
    """Under constant load the share goes 0 → 50 → 100 → 0; every request is answered."""
    async with team(tmp_path) as (running, file, store):
        statuses: list[int] = []
        is_over = asyncio.Event()

        async def client(name: int) -> None:
            number = 0
            while not is_over.is_set():
                response = await running.chat(user=f"{name}-{number}", stream=number % 2 == 0)
                await response.read()
                statuses.append(response.status)
                number += 1

        clients = [asyncio.create_task(client(name)) for name in range(3)]
        for weight, arms in ((50, {"stable", "candidate"}), (100, {"candidate"}), (0, {"stable"})):
            await asyncio.to_thread(file.set_rollout, AGENT, canary(weight))
            async with asyncio.timeout(60):
                while {await arm_of(running, str(n)) for n in range(12)} != arms:
                    pass
        is_over.set()
        await asyncio.gather(*clients)
        await running.log.flush()
        kept = [recorded.outcome for recorded in store.outcomes_after("ro_1", 0, 100_000)]
    assert set(statuses) == {200}
    assert not any(outcome.error for outcome in kept)
    assert {outcome.version for outcome in kept} == {"v1.0.0", "v1.1.0"}


async def test_a_broken_file_changes_nothing_and_shows_in_health(tmp_path: Path):
    """The last good table serves until the file is mended."""
    async with team(tmp_path) as (running, file, _):
        good = file.path.read_text()
        for text, status in (("openrouter: [", "degraded"), (good, "ok")):
            file.path.write_text(text)
            async with asyncio.timeout(60):
                while await health_of(running) != status:
                    pass
            assert await arm_of(running, "t") == "stable"


async def test_feedback_is_joined_with_the_attempt_that_answered(tmp_path: Path):
    """A judgement counts for the arm that wrote the answer; twice by one source is refused."""
    async with team(tmp_path) as (running, file, store):
        file.set_rollout(AGENT, canary(100))
        async with asyncio.timeout(60):
            while await arm_of(running, "t") != "candidate":
                pass
        response = await running.chat()
        body = {"request_id": response.headers["X-Request-Id"], "thumbs": "down"}
        statuses = [(await running.http.post("/v1/feedback", json=body)).status for _ in range(2)]
        [judged] = store.feedback_after("ro_1", 0, 10)
    assert statuses == [200, 409]
    assert (judged.arm, judged.version, judged.score) == ("candidate", "v1.1.0", 0.0)
