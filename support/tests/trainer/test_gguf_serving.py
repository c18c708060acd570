"""GGUF files behind the local model server, beside the model that they were made from."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import httpx2
import openai
import pytest
from tests.doubles.llama_cpp import conversion_folder, convert, llama_cpp
from tests.doubles.workshop import environment, trainer_python

from agent_orchestrator.trainer.generation import (
    Artifacts,
    BadPromptError,
    Decoder,
    Generation,
    PromptTooLongError,
    Update,
)
from agent_orchestrator.trainer.model_server import gguf_loader

pytestmark = [pytest.mark.trainer, pytest.mark.slow]

ASKED = [{"role": "user", "content": "Say yes 3."}]


@pytest.fixture(scope="module")
def artifacts(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model and the same in GGUF."""
    folder = tmp_path_factory.mktemp("gguf")
    shutil.copytree(base, folder / "artifacts" / "local" / "tiny")
    target = folder / "artifacts" / "local" / "tiny-F16-GGUF"
    job = conversion_folder(folder / "job_1", base, quantization="F16", output_dir=str(target))
    assert convert(job) == 0, (job / "worker.log").read_text()
    return folder / "artifacts"


@pytest.fixture(scope="module")
def ask(artifacts: Path) -> Callable[..., list[Update | Exception]]:
    """Return what asks the GGUF file and collects the pieces of its answer."""
    decoder = Decoder(Artifacts(artifacts), load_gguf=gguf_loader(llama_cpp(), 1))

    def run(messages: Any = ASKED, **changes: Any) -> list[Update | Exception]:
        pieces: Queue[Update | Exception] = Queue()
        given = {"max_tokens": 16, "temperature": 0.0, "stop": (), "seed": None, **changes}
        generation = Generation("local/tiny-F16-GGUF", messages, emit=pieces.put, **given)
        assert decoder.submit(generation)
        found = [pieces.get(timeout=60)]
        while isinstance(found[-1], Update) and found[-1].finish is None:
            found.append(pieces.get(timeout=60))
        return found

    return run


@pytest.fixture
def client(artifacts: Path, tmp_path: Path) -> Iterator[openai.OpenAI]:
    """Return OpenAI's client of a server that has both models."""
    where = ("--artifacts", artifacts, "--socket", tmp_path / "s.sock")
    module = ("-m", "agent_orchestrator.trainer.model_server")
    process = subprocess.Popen(
        [trainer_python(), *module, *where, "--llama-cpp", llama_cpp()],
        stdout=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    transport = httpx2.HTTPTransport(uds=str(tmp_path / "s.sock"))
    with httpx2.Client(transport=transport) as http:
        yield openai.OpenAI(
            base_url="http://local/v1", api_key="-", http_client=http, max_retries=0, timeout=120
        )
    process.kill()
    process.communicate()


def test_both_formats_answer_alike_at_one_server(client: openai.OpenAI):
    """The same weights in F16 give the same greedy tokens, counted alike."""
    assert {model.id for model in client.models.list()} == {"local/tiny", "local/tiny-F16-GGUF"}
    answers = []
    for model in ("local/tiny", "local/tiny-F16-GGUF"):
        answer = client.chat.completions.create(
            model=model, messages=ASKED, max_tokens=12, temperature=0
        )
        usage = answer.usage
        answers.append((answer.choices[0].message.content, usage.prompt_tokens))
    assert answers[0] == answers[1]


def test_an_answer_comes_in_pieces_that_make_the_whole(ask: Callable[..., Any]):
    """Greedy decoding repeats itself, and the last piece says how it ended."""
    pieces = ask()
    text = "".join(piece.text for piece in pieces)
    assert text == "".join(piece.text for piece in ask())
    assert pieces[-1].finish in {"stop", "length"}
    assert pieces[-1].completion_tokens <= 16
    stop = text[2:4]
    cut = ask(stop=(stop,))
    assert "".join(piece.text for piece in cut) == text[: text.index(stop)]


def test_a_seed_makes_sampling_repeatable(ask: Callable[..., Any]):
    """Two answers with a temperature and the same seed are the same; other seeds differ."""

    def text(seed: int) -> str:
        return "".join(piece.text for piece in ask(temperature=1.5, seed=seed))

    assert text(1) == text(1)
    assert len({text(seed) for seed in range(5)}) > 1


def test_what_the_model_cannot_read_is_told(ask: Callable[..., Any]):
    """A prompt above the context, or a message without content, is the client's fault."""
    (long,) = ask([{"role": "user", "content": "yes " * 5000}])
    assert isinstance(long, PromptTooLongError)
    (bad,) = ask([{"role": "user"}])
    assert isinstance(bad, BadPromptError)


def test_a_server_without_llama_cpp_says_so(artifacts: Path):
    """A GGUF model at a server that was started without llama.cpp is an error, not a hang."""
    pieces: Queue[Any] = Queue()
    done = threading.Event()

    def emit(piece: Any) -> None:
        pieces.put(piece)
        done.set()

    generation = Generation("local/tiny-F16-GGUF", ASKED, 4, 0.0, (), None, emit)
    assert Decoder(Artifacts(artifacts)).submit(generation)
    assert done.wait(60)
    assert "--llama-cpp" in str(pieces.get())
