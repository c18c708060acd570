"""Runs what a model wrote, so that it can harm nothing and nobody waits for it for long.

A program or a command gets a process of its own with limits on time, memory and the size of files;
namespaces of its own for the network (there is none), processes (all die with the first) and IPC;
and Landlock (https://docs.kernel.org/userspace-api/landlock.html), by which it reads what is
installed and its own folder only, and writes to that folder only. A program's folder is empty, a
command's is the one it is to work in. No secret is in its environment.

Where the kernel does not offer one of these to unprivileged users the program is not run at all,
unless ``Limits.without_isolation`` says that it may.

Needs nothing but the standard library. As a program, this module is the inside of the sandbox.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, NoReturn

Ending = Literal["passed", "failed", "timeout"]

_REFUSED: Final = 125
"""Exit status of a sandbox that could not be closed; a program's own is told apart by the file."""
_CLOSED: Final = ".closed"
_MEGABYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a program may use."""

    seconds: float = 5.0
    """Wall-clock time; processor time is limited to the same, rounded up."""
    memory_mb: int = 512
    """Address space."""
    file_mb: int = 10
    """Size of any one file."""
    output_bytes: int = 4000
    """What is kept of the end of its output."""
    without_isolation: bool = False
    """Run it although the kernel offers no isolation: time, memory and file sizes stay limited."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a program ended."""

    ending: Ending
    output: str
    """The end of what it printed, errors included."""
    status: int | None = None
    """Its exit status; None when its time was up."""


class NoIsolationError(Exception):
    """The kernel offers no isolation to this user; nothing was run."""


def run(program: str, limits: Limits | None = None, line: socket.socket | None = None) -> Run:
    """Run ``program`` to its end or to its limits; exit status 0 is ``passed``.

    The program has ``line``, its only way out, under the same file descriptor; here it is closed
    as soon as the program has it. Raises NoIsolationError.
    """
    with tempfile.TemporaryDirectory(prefix="sandbox-") as name:
        (Path(name) / "program.py").write_text(program, encoding="utf-8")
        return _run(Path(name), _Inside(asdict(limits or Limits())), {}, line)


def run_command(
    command: Sequence[str],
    folder: Path,
    limits: Limits | None = None,
    *,
    readable: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run a command in ``folder``, which it may change, as ``run`` does a program.

    It finds programs beside this interpreter, then where the system has them; ``readable`` are
    further places that it may read. Raises NoIsolationError.
    """
    with tempfile.TemporaryDirectory(prefix="sandbox-") as name:
        inside = _Inside(
            asdict(limits or Limits()), list(command), str(folder.resolve()), list(readable)
        )
        own = {"HOME": name, "TMPDIR": name, "USER": "sandbox", "LANG": "C.UTF-8", "PATH": _path()}
        return _run(Path(name), inside, {**own, **(environment or {})}, None)


def _path() -> str:
    beside = str(Path(sys.executable).parent)
    return os.pathsep.join(dict.fromkeys((beside, "/usr/local/bin", "/usr/bin", "/bin")))


@dataclass(frozen=True, slots=True)
class _Inside:
    """What the inside of the sandbox is told."""

    limits: Mapping[str, float | bool]
    command: Sequence[str] = ()
    """Empty: the program in its folder."""
    folder: str = "."
    readable: Sequence[str] = ()


def _run(
    place: Path, inside: _Inside, environment: Mapping[str, str], line: socket.socket | None
) -> Run:
    limits = Limits(**inside.limits)  # type: ignore[arg-type]
    status = _execute(place, inside, limits.seconds, environment, line)
    output = _tail(place / "output", limits.output_bytes)
    if status == _REFUSED and not (place / _CLOSED).exists():
        raise NoIsolationError(output.strip())
    if status is None:
        return Run("timeout", output)
    return Run("passed" if status == 0 else "failed", output, status)


def _execute(
    folder: Path,
    inside: _Inside,
    seconds: float,
    environment: Mapping[str, str],
    line: socket.socket | None,
) -> int | None:
    """Run what ``inside`` says; return its exit status, None when its time was up."""
    command = (sys.executable, "-I", "-B", __file__, json.dumps(asdict(inside)))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=(line.fileno(),) if line else (),
        )
        if line:
            line.close()
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            # The first process of the namespace dies with its parent, and all others with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _tail(path: Path, most: int) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        return file.read().decode(errors="replace")


# -- inside -------------------------------------------------------------------------------------

_NAMESPACES: Final = 0x10000000 | 0x40000000 | 0x20000000 | 0x08000000  # user, net, pid, ipc
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_RULE_PATH_BENEATH: Final = 1
_READ: Final = 0b1101  # execute, read file, read directory
_READ_FILE: Final = 0b101  # the same for what is no directory
_READ_AND_WRITE_FILE: Final = 0b110
_NOT_FOUND: Final = 127
#: What programs look for: libraries, the names of users, the time zone, sources of chance.
_FILES_OF_COMMANDS: Final = (
    *("/etc/ld.so.cache", "/etc/passwd", "/etc/group", "/etc/localtime", "/etc/ssl/openssl.cnf"),
    *("/etc/alternatives", "/dev/urandom", "/dev/random", "/dev/zero"),
)
#: Access to files that a version of Landlock knows: 13 kinds, then refer, truncate, ioctl.
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
_NEWEST_FILE_RIGHTS: Final = 16


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def _inside(told: _Inside) -> NoReturn:
    """Close the sandbox around this process and become the program, or the command."""
    limits = Limits(**told.limits)  # type: ignore[arg-type]
    _limit(limits)
    try:
        _leave_namespaces()
        _lock_files(told)
    except OSError as error:
        if not limits.without_isolation:
            sys.stderr.write(f"The kernel offers no isolation: {error}\n")
            sys.exit(_REFUSED)
    Path(_CLOSED).touch()
    if told.command:
        _become(told)
    source = Path("program.py").read_text(encoding="utf-8")
    namespace = {"__name__": "__main__", "__builtins__": __builtins__}
    exec(compile(source, "program.py", "exec"), namespace)  # noqa: S102  # nosec B102
    sys.exit(0)


def _become(told: _Inside) -> NoReturn:
    """Become the command."""
    os.chdir(told.folder)
    try:
        os.execvp(told.command[0], list(told.command))  # noqa: S606  # nosec B606
    except OSError as error:
        sys.stderr.write(f"{told.command[0]}: {error.strerror}\n")
        sys.exit(_NOT_FOUND)


def _limit(limits: Limits) -> None:
    for what, most in (
        (resource.RLIMIT_CPU, int(limits.seconds) + 1),
        (resource.RLIMIT_AS, limits.memory_mb * _MEGABYTE),
        (resource.RLIMIT_FSIZE, limits.file_mb * _MEGABYTE),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def _leave_namespaces() -> None:
    """Move into namespaces of our own; the caller goes on as the first process of the new one."""
    _call("unshare", _NAMESPACES)
    # Of both, for a fork does not inherit it: whoever waits for this process may be killed, too.
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) % 256)
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _lock_files(told: _Inside) -> None:
    """Let this process read what is installed and its folders, and write only the latter."""
    version = _call("syscall", _CREATE_RULESET, None, 0, 1)
    everything = (1 << _FILE_RIGHTS.get(version, _NEWEST_FILE_RIGHTS)) - 1
    ruleset = _Ruleset(everything)
    size = ctypes.sizeof(ruleset)
    handle = _call("syscall", _CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    writable = dict.fromkeys((".", told.folder), everything)
    files = _FILES_OF_COMMANDS if told.command else ()
    readable = dict.fromkeys((*_installed(), *told.readable, *files), _READ)
    places = {"/dev/null": _READ_AND_WRITE_FILE, **_existing(readable), **writable}
    for place, rights in places.items():
        opened = os.open(place, os.O_PATH)
        rule = _PathBeneath(rights, opened)
        _call("syscall", _ADD_RULE, handle, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
        os.close(opened)
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("syscall", _RESTRICT_SELF, handle, 0)
    os.close(handle)


def _installed() -> tuple[str, ...]:
    """Return the folders that Python and the libraries of the system need."""
    return (sys.base_prefix, sys.prefix, "/usr", "/lib", "/lib64", "/bin")


def _existing(places: Mapping[str, int]) -> dict[str, int]:
    """Return the places that are there; a file has no rights of a directory."""
    there = {place: rights for place, rights in places.items() if Path(place).exists()}
    return {p: r if Path(p).is_dir() else r & _READ_FILE for p, r in there.items()}


def _call(name: str, *arguments: object) -> int:
    """Call a function of the C library. Raises OSError."""
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    result: int = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


if __name__ == "__main__":
    _inside(_Inside(**json.loads(sys.argv[1])))
