"""Atomic replacing and locking, on real files, processes and full disks."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent_orchestrator.errors import LockTimeout, StorageError
from agent_orchestrator.stores.files import (
    locked,
    replace_atomically,
    sha256_bytes,
    sha256_file,
    storage_error,
)


def test_replace_keeps_permissions_and_leaves_only_the_file(tmp_path: Path) -> None:
    """The new content takes over the old file's permissions; nothing else is left in the folder."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    path.chmod(0o640)
    replace_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_replace_makes_missing_folders_and_honours_the_umask(tmp_path: Path) -> None:
    """A file that was not there is made with the process's default permissions."""
    path = tmp_path / "x" / "y" / "a.txt"
    before = os.umask(0o027)
    try:
        replace_atomically(path, b"new", durable=False)
    finally:
        os.umask(before)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_replace_follows_a_symbolic_link(tmp_path: Path) -> None:
    """A linked configuration file stays a link to the file that was replaced."""
    real = tmp_path / "real" / "a.txt"
    real.parent.mkdir()
    real.write_bytes(b"old")
    link = tmp_path / "a.txt"
    link.symlink_to(real)
    with locked(link):
        replace_atomically(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


LIMITED = """
import resource, sys
from pathlib import Path
from agent_orchestrator.errors import StorageError
from agent_orchestrator.stores.files import replace_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    replace_atomically(Path(sys.argv[1]), b"x" * 5000)
except StorageError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def test_a_full_disk_leaves_the_old_content(tmp_path: Path) -> None:
    """A write that the system cuts short ends as StorageError; the old file stands."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Free some disk space" in done.stdout
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_an_unwritable_place_is_a_storage_error(tmp_path: Path) -> None:
    """A folder that is a file cannot hold another file, nor a lock."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="Cannot write"):
        replace_atomically(tmp_path / "file" / "a.txt", b"new")
    with pytest.raises(StorageError, match="Cannot write"), locked(tmp_path / "file" / "a.txt"):
        pass


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Free some disk space"),
        (errno.EDQUOT, "Free some disk space"),
        (errno.EROFS, "Make the file and its folder writable"),
        (errno.EACCES, "Make the file and its folder writable"),
        (errno.EIO, "The old content stands."),
    ],
)
def test_the_remedy_fits_the_fault(number: int, remedy: str) -> None:
    """What the system refused decides what to do next."""
    error = storage_error(Path("a.txt"), OSError(number, os.strerror(number)))
    assert remedy in error.remedy
    assert os.strerror(number) in error.message


def test_a_lock_held_elsewhere_times_out(tmp_path: Path) -> None:
    """Waiting for a held lock ends with LockTimeout that names the file."""
    path = tmp_path / "a.txt"
    with locked(path):
        seen: list[BaseException] = []

        def contender() -> None:
            try:
                with locked(path, timeout=0.05):
                    pass
            except LockTimeout as error:
                seen.append(error)

        thread = threading.Thread(target=contender)
        thread.start()
        thread.join()
    assert "a.txt" in str(seen[0])
    with locked(path, timeout=0.05):
        pass


KILLED = """
import os, sys
from pathlib import Path
from agent_orchestrator.stores import files
path = Path(sys.argv[1])
with files.locked(path):
    files.os.replace = lambda *_: os.kill(os.getpid(), 9)
    files.replace_atomically(path, b"new")
"""


def test_a_killed_writer_leaves_neither_a_lock_nor_litter(tmp_path: Path) -> None:
    """After a kill between write and replace, the next holder of the lock cleans up."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.glob("*.tmp"))
    with locked(path, timeout=1):
        assert path.read_bytes() == b"old"
        assert not list(tmp_path.glob("*.tmp"))


def test_hashes_agree(tmp_path: Path) -> None:
    """A file's hash is the hash of its bytes."""
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == sha256_bytes(b"abc")
    assert sha256_bytes(b"abc").startswith("ba7816bf")
