"""The model server as a process: killed, left alone by its parent, asked by OpenAI's client."""

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from tests.doubles.workshop import environment, trainer_python

pytestmark = pytest.mark.trainer

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def artifacts(base: Path, tmp_path: Path) -> Path:
    """Return a folder with one untrained model."""
    shutil.copytree(base, tmp_path / "artifacts" / "local" / "tiny")
    return tmp_path / "artifacts"


@pytest.fixture
def start(artifacts: Path, tmp_path: Path) -> Iterator[Start]:
    """Return what starts a server and waits until it is ready."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*options: str) -> subprocess.Popen[bytes]:
        module = "agent_orchestrator.trainer.model_server"
        where = ("--artifacts", artifacts, "--socket", tmp_path / "s.sock")
        process = subprocess.Popen(
            [trainer_python(), "-m", module, *where, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        started.append(process)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "ready"
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_a_killed_servers_socket_is_replaced_and_the_parents_end_is_the_servers(
    start: Start, tmp_path: Path
):
    """SIGKILL leaves a dead socket behind; end of standard input ends a server in good order."""
    first = start()
    first.send_signal(signal.SIGKILL)
    first.wait(60)
    assert (tmp_path / "s.sock").exists()
    second = start("--with-parent")
    assert _ask(tmp_path / "s.sock").choices[0].finish_reason in {"stop", "length"}
    assert second.stdin is not None
    second.stdin.close()
    second.stdin = None
    assert second.wait(60) == 0
    assert not (tmp_path / "s.sock").exists()


def _ask(socket: Path) -> openai.types.chat.ChatCompletion:
    """Ask by OpenAI's own client, whole and streamed; return the whole answer."""
    over_socket = httpx2.Client(transport=httpx2.HTTPTransport(uds=str(socket)), timeout=120)
    with openai.OpenAI(
        base_url="http://local/v1", api_key="none", http_client=over_socket, max_retries=0
    ) as client:
        question: dict[str, Any] = {
            "model": "local/tiny",
            "messages": [{"role": "user", "content": "Say yes 3."}],
            "temperature": 0,
            "max_tokens": 4,
        }
        whole: openai.types.chat.ChatCompletion = client.chat.completions.create(**question)
        stream = client.chat.completions.create(**question, stream=True)
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
        assert "".join(pieces) == whole.choices[0].message.content
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(**{**question, "model": "../tiny"})
        with pytest.raises(openai.BadRequestError, match="messages"):
            client.chat.completions.create(**{**question, "messages": []})
        assert [model.id for model in client.models.list()] == ["local/tiny"]
        return whole
