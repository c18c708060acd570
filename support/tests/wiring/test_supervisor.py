"""Keeping processes running: started again, never in a rush, ended in order."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.doubles.workspace import eventually

from agent_orchestrator.errors import ConfigurationError
from agent_orchestrator.wiring.supervisor import Patience, Service, supervise

QUICK = Patience(first_pause=0.01, longest_pause=0.04, healthy_after=60.0, stop=0.5)
SLEEP = "import time; time.sleep(60)"


def python(name: str, program: str) -> Service:
    """Return a service that runs a program of Python's."""
    return Service(name, (sys.executable, "-c", program), {"PATH": os.environ["PATH"]})


async def run_until(
    enough: Callable[[list[str]], bool], *services: Service, patience: Patience = QUICK
) -> list[str]:
    """Supervise until ``enough`` of what was said, end as Ctrl-C does; return what was said."""
    said: list[str] = []
    running = asyncio.create_task(supervise(services, said.append, patience=patience))
    waiting = asyncio.create_task(eventually(lambda: enough(said) or running.done()))
    await waiting
    if not running.done():
        os.kill(os.getpid(), signal.SIGINT)
    await asyncio.wait_for(running, 30)
    return said


def ends(said: list[str], name: str) -> list[str]:
    """Return what was said of a service's ends."""
    return [line for line in said if line.startswith(f"{name}: ended")]


async def test_a_service_that_keeps_failing_is_started_ever_more_slowly():
    """The pause doubles up to its limit."""
    said = await run_until(
        lambda said: len(ends(said, "gateway")) >= 4, python("gateway", "raise SystemExit(3)")
    )
    pauses = [line.rsplit(" in ")[1] for line in ends(said, "gateway")]
    assert pauses[:4] == ["0.01 s", "0.02 s", "0.04 s", "0.04 s"]
    assert ends(said, "gateway")[0] == "gateway: ended with 3; again in 0.01 s"


async def test_a_service_that_ran_well_is_started_again_at_once():
    """What counts is how long it ran this time."""
    patience = Patience(first_pause=0.01, longest_pause=60.0, healthy_after=0.0)
    said = await run_until(
        lambda said: len(ends(said, "timer")) >= 3, python("timer", ""), patience=patience
    )
    assert all(line.endswith("in 0.01 s") for line in ends(said, "timer"))


async def test_a_wrong_configuration_at_the_first_start_ends_the_whole():
    """Starting again would not help; the other services end too."""
    running = [python("timer", SLEEP), python("gateway", "raise SystemExit(2)")]
    said: list[str] = []
    with pytest.raises(ConfigurationError, match="The gateway cannot run as it is configured"):
        await asyncio.wait_for(supervise(running, said.append, patience=QUICK), 30)
    pid = int(said[0].rsplit(" ")[-1].rstrip(")"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_wrong_configuration_later_is_only_a_failure(tmp_path: Path):
    """What ran once may run again when somebody mends the file."""
    program = (
        f"import pathlib, sys; p = pathlib.Path({str(tmp_path / 'ran')!r});"
        "first = not p.exists(); p.touch(); sys.exit(1 if first else 2)"
    )
    said = await run_until(lambda said: len(ends(said, "gateway")) >= 3, python("gateway", program))
    assert "ended with 2" in ends(said, "gateway")[1]


async def test_a_program_that_is_gone_is_tried_again():
    """An interpreter that is being installed anew comes back."""
    service = Service("model server", ("/no/such/python",), {})
    said = await run_until(lambda said: len(said) >= 2, service)
    assert said[0] == "model server: ended with No such file or directory; again in 0.01 s"


async def test_services_end_in_the_reverse_order_of_their_start(tmp_path: Path):
    """Those on which others rely end last."""
    log = tmp_path / "log"

    def service(name: str) -> Service:
        program = (
            "import signal, sys, time\n"
            "def end(*_):\n"
            f"    time.sleep(0.1); open({str(log)!r}, 'a').write({name!r} + ' '); sys.exit()\n"
            "signal.signal(signal.SIGTERM, end)\n"
            f"open({str(log)!r} + {name!r}, 'w').close()\n"
            "time.sleep(60)"
        )
        return python(name, program)

    names = ("a", "b", "c")
    await run_until(
        lambda _: all(Path(f"{log}{name}").exists() for name in names),
        *(service(name) for name in names),
        patience=replace(QUICK, stop=60.0),
    )
    assert log.read_text() == "c b a "


async def test_a_service_that_does_not_end_is_killed(tmp_path: Path):
    """After a while, and with all that it started."""
    program = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"open({str(tmp_path / 'up')!r}, 'w').close(); time.sleep(60)"
    )
    said = await run_until(lambda _: (tmp_path / "up").exists(), python("gateway", program))
    pid = int(said[0].rsplit(" ")[-1].rstrip(")"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_the_default_patience_lets_the_gateway_drain():
    """It may take 30 s to end the requests under way."""
    assert Patience().stop > 30


async def test_a_stop_during_a_pause_is_heard():
    """Nobody waits for a pause to end."""
    patience = Patience(first_pause=3600.0)
    await run_until(
        lambda said: bool(ends(said, "gateway")),
        python("gateway", "raise SystemExit(1)"),
        patience=patience,
    )
