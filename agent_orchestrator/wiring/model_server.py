"""The local model server: found when it runs, started when it does not."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import anyio.to_thread

from agent_orchestrator.errors import ConfigurationError, UnavailableError
from agent_orchestrator.settings import Settings
from agent_orchestrator.wiring.process import WITH_PARENT

_KEPT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
)
_START_SECONDS = 120.0
_STOP_SECONDS = 10.0


def command(settings: Settings, socket: Path) -> list[str]:
    """Return the command line of a model server that listens on ``socket``.

    It ends when its standard input does.

    Raises ConfigurationError when the trainer's interpreter is missing.
    """
    python = settings.trainer_python
    if not python.exists():
        raise ConfigurationError(
            f"No interpreter at CHEF_TRAINER_PYTHON={str(python)!r} to serve local models.",
            remedy="Run `make setup-trainer`.",
        )
    module = "agent_orchestrator.trainer.model_server"
    artifacts = str(settings.artifacts_dir)
    options = ["--artifacts", artifacts, "--socket", str(socket), WITH_PARENT]
    llama_cpp = ["--llama-cpp", str(settings.llama_cpp)]
    return [str(python), "-m", module, *options, *llama_cpp]


def environment(settings: Settings) -> dict[str, str]:
    """Return what the model server may know: no key of ours, and nothing from the network."""
    given = settings.child_environment()
    kept = {name: given[name] for name in _KEPT if name in given}
    return {**kept, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


async def is_up(socket: Path) -> bool:
    """Return whether a model server answers on ``socket``."""
    connector = aiohttp.UnixConnector(path=str(socket))
    timeout = aiohttp.ClientTimeout(total=5)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get("http://local/health") as response,
        ):
            return response.status == 200  # noqa: PLR2004
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


@asynccontextmanager
async def model_server(settings: Settings) -> AsyncIterator[Path]:
    """Give the socket of the running model server, or of one that lives as long as the context.

    Raises ConfigurationError without the trainer's interpreter, UnavailableError when the server
    does not come up.
    """
    if await is_up(settings.model_socket):
        yield settings.model_socket
        return
    with tempfile.TemporaryDirectory(prefix="chef-") as folder:
        socket = Path(folder) / "models.sock"
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - returns at once; our own command
                command(settings, socket),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment(settings),
                start_new_session=True,
            )
        try:
            await _wait_until_up(socket, process, log)
            yield socket
        finally:
            await anyio.to_thread.run_sync(_stop, process)


async def _wait_until_up(socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    with anyio.move_on_after(_START_SECONDS):
        while process.poll() is None:
            if await is_up(socket):
                return
            await anyio.sleep(0.1)
    text = await anyio.Path(log).read_text(encoding="utf-8", errors="replace")
    tail = text.strip().splitlines()[-1:]
    raise UnavailableError(
        f"The local model server did not come up: {' '.join(tail) or 'no output'}.",
        remedy="Run `make setup-trainer` again.",
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    with process:  # closes its standard input too
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
