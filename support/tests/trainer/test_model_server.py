"""The model server as a process, answering with a real tiny model over its socket."""

import asyncio
import json
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.doubles.workshop import environment, job_folder, run_worker, trainer_python

pytestmark = pytest.mark.trainer

MODEL = "local/yes"
ASKED: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Say yes 3."}],
    "max_tokens": 8,
    "temperature": 0,
}


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    artifacts: Path
    socket: Path
    process: subprocess.Popen[str]

    async def post(self, **changes: Any) -> tuple[int, dict[str, Any]]:
        """Ask for a completion; return status and body."""
        async with self.session() as session, session.post(self.url, json=ASKED | changes) as found:
            return found.status, await found.json()

    def session(self) -> aiohttp.ClientSession:
        """Return a client of the socket."""
        return aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(self.socket)))

    url = "http://local/v1/chat/completions"


def command(artifacts: Path, socket: Path) -> list[str]:
    """Return the server's command line."""
    module = "agent_orchestrator.trainer.model_server"
    options = ["--artifacts", str(artifacts), "--socket", str(socket), "--threads", "1"]
    return [str(trainer_python()), "-m", module, *options]


@pytest.fixture(scope="module")
def server(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a server with one model that learned to answer."""
    folder = tmp_path_factory.mktemp("serve")
    parameters = {"learning_rate": 1e-2, "max_steps": 120, "batch_size": 24}
    job = job_folder(folder / "job", base, hyperparameters=parameters)
    assert run_worker(job) == 0, (job / "worker.log").read_text()
    artifacts = folder / "artifacts"
    shutil.copytree(job / "artifact", artifacts / MODEL)
    shutil.copytree(base, artifacts / "local" / "untrained")
    shutil.copytree(base, artifacts / "local" / "pickled")
    (artifacts / "local" / "pickled" / "model.safetensors").rename(
        artifacts / "local" / "pickled" / "pytorch_model.bin"
    )
    process = subprocess.Popen(
        command(artifacts, folder / "run" / "models.sock"),
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert ready["event"] == "ready"
    yield Running(artifacts, Path(ready["socket"]), process)
    process.terminate()
    assert process.wait(60) == 0
    process.stdout.close()
    assert not Path(ready["socket"]).exists()


def test_the_socket_belongs_to_its_user_alone(server: Running):
    """Mode 0600 in a folder of mode 0700."""
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700


async def test_a_trained_model_answers_what_it_learned(server: Running):
    """Greedy, ended by the end token, tokens counted."""
    for word in ("yes", "no", "maybe"):
        question = [{"role": "user", "content": f"Say {word} 3."}]
        status, body = await server.post(messages=question)
        assert (status, body["choices"][0]["message"]["content"]) == (200, word), body
        assert body["choices"][0]["finish_reason"] == "stop"
        assert body["usage"]["prompt_tokens"] > 0


async def test_requests_together_get_the_answers_that_each_gets_alone(server: Running):
    """Batched decoding of prompts of different length changes no answer."""
    questions = [
        [{"role": "user", "content": f"Say {word} {number}." + " Please." * (number % 3)}]
        for number in range(8)
        for word in ("yes", "no", "maybe")
    ]
    alone = [(await server.post(messages=q))[1]["choices"][0]["message"] for q in questions]
    together = await asyncio.gather(*(server.post(messages=q) for q in questions))
    assert [body["choices"][0]["message"] for _, body in together] == alone


async def test_two_models_answer_at_the_same_time(server: Running):
    """Requests for different models do not mix."""
    names = [MODEL, "local/untrained"] * 6
    answers = await asyncio.gather(*(server.post(model=name) for name in names))
    assert [body["model"] for _, body in answers] == names
    texts = {(body["model"], body["choices"][0]["message"]["content"]) for _, body in answers}
    assert len(texts) == 2
    assert (MODEL, "yes") in texts


async def test_a_stream_says_the_same_as_a_whole_answer(server: Running):
    """The pieces put together are the answer."""
    async with (
        server.session() as session,
        session.post(server.url, json={**ASKED, "stream": True}) as response,
    ):
        lines = (await response.text()).split("\n\n")
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "yes"
    assert lines[-2] == "data: [DONE]"


async def test_the_limit_of_tokens_is_kept(server: Running):
    """``max_tokens`` ends the answer as ``length``."""
    _, body = await server.post(model="local/untrained", max_tokens=3)
    assert body["choices"][0]["finish_reason"] in {"length", "stop"}
    assert body["usage"]["completion_tokens"] <= 3


async def test_a_stop_text_ends_the_answer_before_it(server: Running):
    """The text itself is not part of the answer."""
    _, body = await server.post(stop=["e"])
    assert body["choices"][0]["message"]["content"] == "y"
    assert body["choices"][0]["finish_reason"] == "stop"


async def test_a_seed_makes_sampling_repeatable(server: Running):
    """The same seed gives the same answer, also seed 0."""
    for seed in (0, 7):
        asked = {"model": "local/untrained", "temperature": 1.0, "seed": seed}
        answers = [(await server.post(**asked))[1]["choices"][0] for _ in range(3)]
        assert answers[0] == answers[1] == answers[2]


async def test_a_prompt_beyond_the_context_is_refused(server: Running):
    """400 with OpenAI's code, not a cut prompt."""
    long = [{"role": "user", "content": "word " * 4000}]
    status, body = await server.post(messages=long)
    assert (status, body["error"]["code"]) == (400, "context_length_exceeded")


async def test_pickled_weights_are_not_loaded(server: Running):
    """A model without safetensors is an error of the server, and it goes on serving."""
    status, body = await server.post(model="local/pickled")
    assert (status, body["error"]["type"]) == (500, "server_error")
    assert (await server.post())[0] == 200


async def test_a_model_that_appears_is_served_without_a_restart(server: Running):
    """Artifacts are looked for when they are asked for."""
    shutil.copytree(server.artifacts / MODEL, server.artifacts / "local" / "late")
    status, body = await server.post(model="local/late")
    assert (status, body["choices"][0]["message"]["content"]) == (200, "yes")


def test_a_second_server_leaves_the_first_ones_socket_alone(server: Running):
    """It ends with one line; the first keeps serving."""
    second = subprocess.run(
        command(server.artifacts, server.socket),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 2
    assert "listens" in second.stderr
    assert "Traceback" not in second.stderr
    assert asyncio.run(server.post())[0] == 200
