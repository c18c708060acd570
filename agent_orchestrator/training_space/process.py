"""The process of the Space's app: ``python -m agent_orchestrator.training_space.process``.

SIGTERM, which a Space gets before it is paused or restarted, lets the running job write a
checkpoint; the next app resumes it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Final

from aiohttp import web

from agent_orchestrator.agents.infrastructure.modelops.backends.local import LocalBackend
from agent_orchestrator.errors import ChefError, ConfigurationError, ConflictError, SettingsError
from agent_orchestrator.settings import Settings, load_settings
from agent_orchestrator.stores.files import storage_error
from agent_orchestrator.training_space.app import SpaceApp
from agent_orchestrator.training_space.checkup import Checkup
from agent_orchestrator.training_space.queue import Queue

log = logging.getLogger("chef.space")

_LOOK_SECONDS: Final = 0.5
_CLOSE_SECONDS: Final = 5.0
_MIB: Final = 1024 * 1024


async def serve(settings: Settings, *, token: str | None, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. ``say`` is told the URL when requests are taken.

    Raises ConflictError when another app works on the same folder, ConfigurationError when the
    address is taken, StorageError.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with _alone(settings):
        backend = _backend(settings)
        checkup = Checkup(backend)
        queue = Queue(
            backend, most_waiting=settings.space_queue, gpus=lambda: len(checkup.gpus) or 1
        )
        await asyncio.to_thread(queue.recover)
        app = SpaceApp(queue, checkup, token=token, upload_bytes=settings.space_upload_mb * _MIB)
        runner = web.AppRunner(app.application(), access_log=None, shutdown_timeout=_CLOSE_SECONDS)
        await runner.setup()
        say(f"Serving on {await _listen(runner, settings)}")
        work = [asyncio.create_task(checkup.keep()), asyncio.create_task(_dispatch(queue, app))]
        await stop.wait()
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await runner.cleanup()
        await asyncio.to_thread(queue.interrupt)


async def _dispatch(queue: Queue, app: SpaceApp) -> None:
    """Settle and start jobs until cancelled."""
    while True:
        app.submitted.clear()
        try:
            await asyncio.to_thread(queue.tick)
        except ChefError as error:  # a full disk …: the next look tries again
            log.error("%s", error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await app.submitted.wait()


def _backend(settings: Settings) -> LocalBackend:
    return LocalBackend(
        jobs_dir=settings.space_dir / "jobs",
        artifacts_dir=settings.space_dir / "artifacts",
        trainer_python=settings.trainer_python,
        autotrain_python=settings.autotrain_python,
        environment=settings.child_environment(),
    )


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Hold the folder's lock, which ends with the process. Raises ConflictError, StorageError."""
    path = settings.space_dir / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise storage_error(path, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(
                f"Another Space app works in {str(settings.space_dir)!r}.",
                remedy="End it, or set CHEF_STATE to another folder.",
            ) from None
        yield


async def _listen(runner: web.AppRunner, settings: Settings) -> str:
    host, port = settings.space_host, settings.space_port
    try:
        await web.TCPSite(runner, host, port).start()
    except (OSError, socket.gaierror) as error:
        await runner.cleanup()
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}.",
            remedy="Choose another CHEF_SPACE_HOST or CHEF_SPACE_PORT.",
        ) from error
    return f"http://{host}:{runner.addresses[0][1]}"


def configured_token(settings: Settings) -> str:
    """Return the token that clients must send. Raises SettingsError when there is none."""
    token = settings.space_token.get_secret_value() if settings.space_token else ""
    if not token:
        raise SettingsError(
            "MODELOPS_SPACE_TOKEN is not set.",
            remedy="Set it (on the Hub: as a secret of the Space), or serve with --no-token.",
        )
    return token


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-token", action="store_true", help="let everybody train")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        logging.basicConfig(
            stream=sys.stderr,
            level=settings.log_level,
            format="%(asctime)s %(levelname)s %(message)s",
        )
        token = None if arguments.no_token else configured_token(settings)
        asyncio.run(serve(settings, token=token, say=lambda line: log.info("%s", line)))
    except ChefError as error:
        log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
