"""Files that are replaced whole or not at all, and the lock around reading and replacing one.

Neither the lock nor the write may span an ``await``: run them in a thread.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from filelock import FileLock, Timeout

from agent_orchestrator.errors import LockTimeout, StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
_POLL_SECONDS = 0.005
"""A held lock is free again in milliseconds: filelock's own 50 ms would waste most of a wait."""


def storage_error(path: Path, error: OSError) -> StorageError:
    """Return ``error`` of writing ``path`` as a StorageError with its remedy."""
    if error.errno in _FULL:
        remedy = "Free some disk space and try again; the old content stands."
    elif error.errno in _FORBIDDEN:
        remedy = "Make the file and its folder writable for this user; the old content stands."
    else:
        remedy = "The old content stands."
    return StorageError(f"Cannot write {str(path)!r}: {error.strerror or error}.", remedy=remedy)


def replace_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Make ``data`` the content of ``path``; readers see the old or the new file, never a mixture.

    Permissions and owner of an existing file are kept, a symbolic link is followed, missing folders
    are made. ``durable`` waits until the disk has file and folder entry (fsync); without it the
    replace is still atomic for other processes but may be lost with the power.

    Raises StorageError (disk full, read-only …): the old content stands, no temporary file stays.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_like(target, temporary, data, durable=durable)
            os.replace(temporary, target)  # noqa: PTH105 - the system call is the point
        except BaseException:
            with suppress(FileNotFoundError):
                temporary.unlink()
            raise
        if durable:
            _sync_folder(target.parent)
    except OSError as error:
        raise storage_error(path, error) from error


def _write_like(target: Path, temporary: Path, data: bytes, *, durable: bool) -> None:
    """Write ``data`` to ``temporary`` with the permissions and owner of ``target``."""
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with open(descriptor, "wb") as stream:  # noqa: PTH123 - a descriptor, not a path
        with suppress(FileNotFoundError):
            old = target.stat()
            os.fchmod(descriptor, old.st_mode & 0o7777)
            if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                with suppress(PermissionError):  # only root may give a file away
                    os.fchown(descriptor, old.st_uid, old.st_gid)
        stream.write(data)
        stream.flush()
        if durable:
            os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_whole(folder: Path) -> None:
    """Remove a folder, which for readers is gone at once; one that is not there is gone already.

    Raises StorageError.
    """
    hidden = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.removed")
    try:
        folder.rename(hidden)
        shutil.rmtree(hidden)
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error(folder, error) from error


@contextmanager
def locked(path: Path, timeout: float = 10.0) -> Iterator[None]:
    """Hold the lock of ``path`` (``.<name>.lock`` beside it) against other threads and processes.

    Every writer of a file holds its lock from reading to replacing, so temporary files found here
    belong to writers that were killed, and are removed. Not reentrant. ``timeout`` is in seconds.

    Raises LockTimeout, or StorageError when the folder cannot be written.
    """
    target = Path(os.path.realpath(path))
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=timeout, poll_interval=_POLL_SECONDS)
    except Timeout:
        raise LockTimeout(
            f"Another process has held the lock of {str(path)!r} for more than {timeout:g} s.",
            remedy="Try again; end that process if it hangs.",
        ) from None
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        _remove_leftovers(target)
        yield
    finally:
        lock.release()


def _remove_leftovers(target: Path) -> None:
    try:
        for leftover in target.parent.glob(f".{escape(target.name)}.*.tmp"):
            leftover.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(target, error) from error


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hex. Raises OSError when it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
