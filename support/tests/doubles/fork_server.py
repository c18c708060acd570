"""Our processes started in milliseconds: forked from one that has imported everything.

``ForkServer`` starts the real entry points (``chef``, the gateway, the timer) with arguments and an
environment of their own, one at a time, so that a test can kill and start hundreds. Linux only.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn, Self

SUPPORT: Final = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG: Final = 1
_PRELOADED: Final = (
    "agent_orchestrator.cli.usecase",
    "agent_orchestrator.wiring.embedded",
    "agent_orchestrator.wiring.gateway_process",
    "agent_orchestrator.wiring.timer_process",
)


class ForkServer:
    """Starts one process after the other; a context manager.

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
        self.pid: int | None = None
        """The process that runs."""

    def start(self, module: str, argv: Sequence[str], environment: Mapping[str, str]) -> int:
        """Call ``module.main()`` in a new process; return its id. The last one must have ended."""
        assert self.pid is None, "the last process has not ended"
        request = {"module": module, "argv": list(argv), "environment": dict(environment)}
        self.pid = int(self._ask(json.dumps(request)))
        return self.pid

    def wait(self) -> int:
        """Wait until the process has ended; return its exit code, negative for a signal."""
        code = os.waitstatus_to_exitcode(int(self._ask("wait")))
        self.pid = None
        return code

    def send(self, number: int) -> None:
        """Send a signal."""
        assert self.pid is not None, "no process runs"
        os.kill(self.pid, number)

    def kill(self) -> int:
        """Kill it as SIGKILL does; return as ``wait``."""
        self.send(signal.SIGKILL)
        return self.wait()

    def close(self) -> None:
        """End the server, and with it the process that may run."""
        self._server.kill()
        self._server.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, line: str) -> str:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(line + "\n")
        self._server.stdin.flush()
        line = self._server.stdout.readline()
        assert line, "the fork server ended; see its log"
        return line


def _serve() -> None:
    """Fork what a line of standard input asks for and say its id; on the next, how it ended.

    Until then the process keeps its id, ended or not, so that a kill hits no other.
    """
    _end_with_parent()
    for module in _PRELOADED:
        importlib.import_module(module)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(**json.loads(line))
        print(child, flush=True)
        sys.stdin.readline()
        print(os.waitpid(child, 0)[1], flush=True)


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
