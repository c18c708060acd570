"""What this Space can do: asked in the engine's own interpreter, again and again."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.backends.local import LocalBackend

log = logging.getLogger("chef.space")

_PROBE: Final = "agent_orchestrator.trainer.probe"
#: Importing the engine takes minutes on a cold, shared disk.
_PROBE_SECONDS: Final = 300.0
_PAUSE_SECONDS: Final = 600.0
_LONGEST_REASON: Final = 300


class Checkup:
    """The last answer of the engine's interpreter. Belongs to one event loop."""

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend
        self.done = False
        """Whether there was an answer yet."""
        self.reason = ""
        """Why the engine cannot train; empty when it can."""
        self.engine: Mapping[str, str] = {}
        self.gpus: Sequence[Mapping[str, Any]] = ()

    async def keep(self) -> None:
        """Ask every ten minutes until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def ask(self) -> None:
        """Ask once."""
        try:
            found = json.loads(await self._probe())
            self.engine, self.gpus, self.reason = found["engine"], found["gpus"], ""
        except (OSError, ValueError, LookupError, TypeError, TimeoutError) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            self.reason = f"The training engine cannot be used: {said[-_LONGEST_REASON:]}"
            log.warning("%s", self.reason)
        self.done = True

    async def _probe(self) -> bytes:
        """Return what the probe prints. Raises OSError with its last line when it fails."""
        python = str(self._backend.trainer_python)
        process = await asyncio.create_subprocess_exec(
            *(python, "-m", _PROBE),
            env=self._backend.worker_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            lines = err.decode(errors="replace").strip().splitlines()
            raise OSError(lines[-1] if lines else f"exit status {process.returncode}")
        return out
