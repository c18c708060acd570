"""The sandbox for code that a model wrote, with real programs in it."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from agent_orchestrator.trainer.sandbox import Limits, run


def test_a_program_that_ends_well_has_passed():
    """With what it printed."""
    ended = run("print(6 * 7)")
    assert (ended.ending, ended.output) == ("passed", "42\n")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("assert 1 == 2", "AssertionError"),
        ("import sys; sys.exit(3)", ""),
        ("def broken(:", "SyntaxError"),
        ("import os; os._exit(125)", ""),
        ("x = 'x' * 10 ** 9", "MemoryError"),
        ("open('big', 'wb').write(b'x' * 20_000_000)", "File too large"),
    ],
)
def test_a_program_that_ends_badly_has_failed(program: str, said: str):
    """Whatever way it chose, and with the end of its output."""
    ended = run(program)
    assert ended.ending == "failed"
    assert said in ended.output


@pytest.mark.parametrize("program", ["while True: pass", "import time; time.sleep(60)"])
def test_nobody_waits_for_a_program_that_does_not_end(program: str):
    """Busy or asleep, it is killed when its time is up."""
    assert run(program, Limits(seconds=1)).ending == "timeout"


def test_a_program_sees_no_variable_and_no_file_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its environment is empty, and only the interpreter and its own folder can be read."""
    monkeypatch.setenv("HUGGINGFACE_TOKEN", "hf_secret")
    secret = tmp_path / "secret"
    secret.write_text("hf_secret")
    assert "hf_secret" not in run("import os; print(dict(os.environ))").output
    ended = run(f"print(open({str(secret)!r}).read())")
    assert (ended.ending, "PermissionError" in ended.output) == ("failed", True)


def test_a_program_writes_to_its_own_folder_only(tmp_path: Path):
    """A file elsewhere is neither made nor changed nor removed."""
    kept = tmp_path / "kept"
    kept.write_text("ours")
    assert run("open('mine', 'w').write('x')").ending == "passed"
    for attempt in (
        f"open({str(tmp_path / 'new')!r}, 'w')",
        f"open({str(kept)!r}, 'w')",
        f"import os; os.remove({str(kept)!r})",
        f"import os; os.rename({str(kept)!r}, 'mine')",
    ):
        assert run(attempt).ending == "failed"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert kept.read_text() == "ours"


def test_a_program_reaches_no_network():
    """Not even this machine's own loopback, by neither TCP nor UDP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for kind in ("STREAM", "DGRAM"):
            ended = run(
                f"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_{kind})\n"
                f"s.connect(('127.0.0.1', {port})); s.send(b'x')"
            )
            assert (ended.ending, "unreachable" in ended.output) == ("failed", True)


def test_what_a_program_started_dies_with_it(tmp_path: Path):
    """Also a child that went into a session of its own."""
    marker = f"{os.getpid()}.{tmp_path.name}"
    ended = run(
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    sleep = 'import time; time.sleep(60)'\n"
        f"    os.execv(sys.executable, ['python', '-c', sleep, {marker!r}])\n"
        "time.sleep(0.5)\n"
    )
    assert ended.ending == "passed"
    commands = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    assert not any(marker in command for command in commands)


def test_what_was_started_dies_with_whoever_waits_for_it(tmp_path: Path):
    """A killed caller leaves no command behind, though nobody is there to look at the clock."""
    waiting = (
        "import pathlib, sys\n"
        "from agent_orchestrator.trainer.sandbox import Limits, run_command\n"
        "limits = Limits(seconds=600)\n"
        "run_command(['sh', '-c', 'touch begun; sleep 600'], pathlib.Path(sys.argv[1]), limits)\n"
    )
    with subprocess.Popen([sys.executable, "-c", waiting, str(tmp_path)]) as caller:
        deadline = time.monotonic() + 60
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        started = psutil.Process(caller.pid).children(recursive=True)
        caller.kill()
    _, left = psutil.wait_procs(started, timeout=60)
    assert started
    assert left == []


def test_a_program_cannot_see_or_signal_our_processes():
    """It is the first process of a world of its own."""
    ended = run(f"import os\nassert os.getpid() == 1\nos.kill({os.getpid()}, 0)")
    assert (ended.ending, "ProcessLookupError" in ended.output) == ("failed", True)


def test_only_the_end_of_a_long_output_is_kept():
    """4,000 bytes of it."""
    ended = run("print('x' * 100_000); print('end')")
    assert len(ended.output) == 4000
    assert ended.output.endswith("x\nend\n")
