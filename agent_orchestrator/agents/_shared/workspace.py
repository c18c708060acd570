"""The files that agents work on: one folder, and no way out of it.

Paths come from models, and commands of a model run beside us in the same folder. So a path is
walked one component after the other, each opened without following a symbolic link: there is no
moment between a check and a use. ``.git`` is out of bounds, for it says what git runs.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import re2

from agent_orchestrator.errors import ConfigurationError, InputError, StorageError

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_BYTES: Final = 2_000_000
_SKIPPED: Final = frozenset({".git", "__pycache__", "node_modules", ".venv", ".mypy_cache"})
"""Folders that are listed and searched by nobody."""


@dataclass(frozen=True, slots=True)
class Match:
    """A line that was searched for."""

    path: str
    line: int
    text: str


class Workspace:
    """Files under one root. Blocking.

    Every path is relative to the root. Methods raise InputError for a path that is none, leads out
    of the root, or is not what the method needs, and StorageError when the disk fails.
    """

    def __init__(self, root: Path, *, apart_from: Sequence[Path] = ()) -> None:
        """Raise ConfigurationError for a root that is none, or that overlaps ``apart_from``."""
        self.root = root.resolve()
        if not self.root.is_dir():
            raise ConfigurationError(
                f"The workspace {str(root)!r} is no folder.", remedy="Set CHEF_WORKSPACE to one."
            )
        for other in apart_from:
            place = other.resolve()
            if place.is_relative_to(self.root) or self.root.is_relative_to(place):
                raise ConfigurationError(
                    f"The workspace {str(self.root)!r} and {str(place)!r} overlap: agents could "
                    "change what they are governed by.",
                    remedy="Set CHEF_WORKSPACE, CHEF_STATE and CHEF_CONFIG to separate folders.",
                )

    def read(self, path: str) -> str:
        """Return a file's text (UTF-8, 2 MB at most)."""
        with self._folder_of(path) as (folder, name), _said(path):
            return _text(path, os.open(name, _READ, dir_fd=folder))

    def write(self, path: str, text: str) -> None:
        """Write a file whole, with the folders it needs; readers see the old or the new text."""
        with self._folder_of(path, make=True) as (folder, name), _said(path):
            mode = _mode(folder, name)
            unfinished = f".{name[:100]}.{secrets.token_hex(4)}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                with os.fdopen(os.open(unfinished, flags, mode, dir_fd=folder), "wb") as file:
                    os.fchmod(file.fileno(), mode)
                    file.write(text.encode())
                os.replace(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                _remove(unfinished, folder)
                raise

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace the one place where a file says ``old``."""
        text = self.read(path)
        found = text.count(old) if old else 0
        if found != 1:
            raise InputError(
                f"{path!r} says this {found} times, not once: {old[:80]!r}.",
                remedy="Read the file, and name a passage with enough around it to be unique.",
            )
        self.write(path, text.replace(old, new))

    def files(self, pattern: str = "*") -> Iterator[str]:
        """Yield the paths of files that match a pattern (``*.py``, ``src/*``), sorted by folder."""
        for path, _, _ in self._walk(pattern):
            yield path

    def search(self, pattern: str, within: str = "*") -> Iterator[Match]:
        """Yield the lines that a regular expression (RE2) finds in files that match ``within``."""
        try:
            options = re2.Options()
            options.log_errors = False
            expression: Any = re2.compile(pattern, options)
        except re2.error as error:
            raise InputError(
                f"{pattern!r} is no regular expression: {error}.",
                remedy="Write it as Python's re takes it.",
            ) from None
        for path, name, folder in self._walk(within):
            try:
                text = _text(path, os.open(name, _READ, dir_fd=folder))
            except (InputError, OSError):  # no text, or gone meanwhile
                continue
            for number, line in enumerate(text.splitlines(), 1):
                if expression.search(line):
                    yield Match(path, number, line)

    def _walk(self, pattern: str) -> Iterator[tuple[str, str, int]]:
        """Yield path, name and folder of each regular file that matches."""
        for folder, folders, names, descriptor in os.fwalk(self.root, follow_symlinks=False):
            folders[:] = sorted(name for name in folders if name not in _SKIPPED)
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), self.root)  # noqa: PTH118
                if fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(name, pattern):
                    yield path, name, descriptor

    @contextmanager
    def _folder_of(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """Open the folder that a path lies in; give it and the last component."""
        *folders, name = _components(path)
        with _said(path):
            descriptor = os.open(self.root, _FOLDER)
        try:
            for part in folders:
                with _said(path):
                    if make:
                        _make(part, descriptor)
                    inner = os.open(part, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor, name
        finally:
            os.close(descriptor)


def _components(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part not in {"", "."}]
    fault = None
    if path.startswith("/") or ".." in parts:
        fault = "leads out of the workspace"
    elif not parts or "\0" in path:
        fault = "is no path of a file"
    elif any(part.lower() == ".git" for part in parts):
        fault = "belongs to git"
    if fault:
        raise InputError(f"{path!r} {fault}.", remedy="Name a file by its path from the root.")
    return parts


@contextmanager
def _said(path: str) -> Iterator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK}:
            raise InputError(
                f"{path!r} is a symbolic link: they are not followed.",
                remedy="Name the file that it leads to.",
            ) from None
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}:
            raise InputError(
                f"{path!r}: {os.strerror(error.errno)}.", remedy="List the folder."
            ) from None
        raise StorageError(
            f"{path!r}: {error.strerror}.", remedy="Make room, or look at its permissions."
        ) from error


def _text(path: str, descriptor: int) -> str:
    """Read an open file, and close it."""
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            raise InputError(
                f"{path!r} is no file of at most {_MOST_BYTES:,} bytes.",
                remedy="Name a smaller file.",
            )
        try:
            return file.read(_MOST_BYTES).decode()
        except UnicodeDecodeError:
            raise InputError(f"{path!r} is no text in UTF-8.", remedy="Name a text file.") from None


def _mode(folder: int, name: str) -> int:
    """Return the mode of a file that is there, else that of a new one."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return 0o644
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    return stat.S_IMODE(status.st_mode) & 0o777


def _make(name: str, folder: int) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=folder)


def _remove(name: str, folder: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
