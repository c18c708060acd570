"""Our processes started in milliseconds: forked from one that has imported everything.

``ForkServer`` starts the real entry points (``chef``, the gateway, the timer) with arguments and an
environment of their own, so that a test can kill and start hundreds. Linux only.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, Self

SUPPORT: Final = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG: Final = 1
_RUNS: Final = "runs"
_POLL_SECONDS: Final = 0.002
_PRELOADED: Final = (
    "agent_orchestrator.cli.usecase",
    "agent_orchestrator.wiring.embedded",
    "agent_orchestrator.wiring.gateway_process",
    "agent_orchestrator.wiring.timer_process",
)


class ForkServer:
    """Starts processes; a context manager that ends them all. May be shared by threads.

    Args:
        log: where the processes' output goes, appended.
    """

    def __init__(self, log: Path) -> None:
        with log.open("ab") as stream:
            self._server = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{SUPPORT.parent}:{SUPPORT}"},
                text=True,
            )
        self._asking = threading.Lock()

    def start(self, module: str, argv: Sequence[str], environment: Mapping[str, str]) -> Process:
        """Call ``module.main()`` in a new process."""
        asked = {"module": module, "argv": list(argv), "environment": dict(environment)}
        return Process(int(self.ask(json.dumps(asked))), self)

    def ask(self, line: str) -> str:
        """Send the server a line; return its answer."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with self._asking:
            self._server.stdin.write(line + "\n")
            self._server.stdin.flush()
            answer = self._server.stdout.readline().strip()
        assert answer, "the fork server ended; see its log"
        return answer

    def close(self) -> None:
        """End the server, and with it the processes that run."""
        self._server.kill()
        self._server.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a server's. It keeps its id until it has been waited for."""

    pid: int
    _server: ForkServer

    def wait(self) -> int:
        """Wait until it has ended; return its exit code, negative for a signal. Call it once."""
        while (status := self._server.ask(str(self.pid))) == _RUNS:
            time.sleep(_POLL_SECONDS)
        return os.waitstatus_to_exitcode(int(status))

    def has_ended(self) -> bool:
        """Return whether it has, without waiting for it: it is a zombie then."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "Z"

    def send(self, number: int) -> None:
        """Send a signal; it may have ended already."""
        os.kill(self.pid, number)

    def kill(self) -> int:
        """Kill it as SIGKILL does; return as ``wait``."""
        self.send(signal.SIGKILL)
        return self.wait()


def _serve() -> None:
    """Fork what a line of standard input asks for, or say how the process that it names stands."""
    _end_with_parent()
    for module in _PRELOADED:
        importlib.import_module(module)
    for line in sys.stdin:
        if line.strip().isdigit():
            pid, status = os.waitpid(int(line), os.WNOHANG)
            print(status if pid else _RUNS, flush=True)
            continue
        child = os.fork()
        if child == 0:
            _run(**json.loads(line))
        print(child, flush=True)


def _run(module: str, argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Be the process."""
    _end_with_parent()
    code: object = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [module, *argv]
        code = importlib.import_module(module).main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    _serve()
