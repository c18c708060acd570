"""Examples from a data set on the Hub, streamed: nothing is downloaded whole.

``hub:<owner/name>``, ``hub:<owner/name>@<revision>``, and ``hub:<owner/name>:<folder>`` for one of
several configurations. Its JSONL, CSV or Parquet files are read by ranges of bytes, in the order of
their names. What is in a file's name or folders says of which split it is, as the Hub reads it:
``train`` is trained on, ``test`` (else ``validation``, ``valid``, ``val``, ``dev``, ``eval``) is
held out. A data set of other files is read as the Hub converts it, from its branch
``refs/convert/parquet``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from huggingface_hub import HfFileSystem
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import (
    BadRow,
    Source,
    Wanted,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.files import (
    READERS,
    reader_of,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.forms import examples_of
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.naming import slug
from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub, hub_failures
from agent_orchestrator.errors import DatasetError

_CONVERTED: Final = "refs/convert/parquet"
_NAME: Final = re.compile(r"(?P<repo>[^@:]+)(?:@(?P<revision>[^:]+))?(?::(?P<folder>.+))?")
_WORD: Final = re.compile(r"[a-z]+")
_TRAIN: Final = frozenset({"train", "training"})
#: Splits to hold out, the first that is there.
_HELD_OUT: Final = (
    frozenset({"test", "testing"}),
    frozenset({"validation", "valid", "val", "dev"}),
    frozenset({"eval", "evaluation"}),
)
#: Folders that no configuration is named after.
_PLAIN: Final = frozenset({"data", "default"})


@dataclass(frozen=True, slots=True)
class _Files:
    """A data set's files at one commit."""

    repo: str
    commit: str
    paths: Sequence[str]


class HubDatasets:
    """Data sets on the Hub, as one token sees them."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def open(self, name: str, wanted: Wanted) -> Source:
        """Open a data set.

        Raises DatasetError when there is none that may be read or that has data files, and as Hub.
        """
        parsed = _NAME.fullmatch(name)
        if parsed is None or "/" not in parsed["repo"]:
            raise DatasetError(
                f"Not a data set on the Hub: {name!r}.",
                remedy="Write hub:<owner/name>, with @<revision> or :<folder> behind it if needed.",
            )
        repo, revision, folder = parsed["repo"], parsed["revision"], parsed["folder"]
        files = self._find(repo, revision)
        paths = _of_configuration(files, folder)
        origin = f"Hub data set {repo}@{files.commit[:12]}{f', {folder}' if folder else ''}"
        title = slug(f"{repo.split('/')[1]}-{folder}" if folder else repo.split("/")[1])
        held_out = _held_out(paths)
        trained = [p for p in paths if _split_words(p) & _TRAIN] or _unnamed(paths)
        examples = self._examples(files, trained, wanted)
        if not held_out:
            return Source(title, origin, examples)
        return Source(title, origin, examples, self._examples(files, held_out, wanted))

    def _find(self, repo: str, revision: str | None) -> _Files:
        """Return the data files of a repository, or those that the Hub converted."""
        found = self._files(repo, revision)
        if found is None:
            raise DatasetError(
                f"Data set {repo!r} has no revision {revision!r}.",
                remedy="Name a branch, a tag or a commit of it.",
            )
        if not found.paths and revision is None:
            found = self._files(repo, _CONVERTED) or found
        if not found.paths:
            raise DatasetError(
                f"Data set {repo!r} has no {', '.join(READERS)} file.",
                remedy="Name another, or download and convert it.",
            )
        return found

    def _files(self, repo: str, revision: str | None) -> _Files | None:
        """Return the data files of a revision, None when there is no such revision."""
        try:
            with hub_failures(f"The Hub, asked for the data set {repo!r},"):
                try:
                    info = self._hub.api.dataset_info(repo, revision=revision)
                except RevisionNotFoundError:
                    return None
        except GatedRepoError:
            raise _gated(repo) from None
        except (RepositoryNotFoundError, HFValidationError):
            raise DatasetError(
                f"The Hub has no data set {repo!r} that you may read.",
                remedy="Check its name, and HUGGINGFACE_TOKEN if it is private.",
            ) from None
        names = sorted(sibling.rfilename for sibling in info.siblings or ())
        by_kind = (
            [n for n in names if PurePosixPath(n).suffix.lower() == suffix] for suffix in READERS
        )
        return _Files(repo, str(info.sha), next(filter(None, by_kind), []))

    def _examples(
        self, files: _Files, paths: Sequence[str], wanted: Wanted
    ) -> Iterator[Example | BadRow]:
        api = self._hub.api
        system = HfFileSystem(endpoint=api.endpoint, token=api.token, skip_instance_cache=True)
        for path in paths:
            name = f"datasets/{files.repo}@{files.commit}/{path}"
            prefix = slug(path.rsplit(".", 1)[0])
            try:
                with (
                    hub_failures(f"The Hub, asked for {path} of {files.repo},"),
                    system.open(name, "rb") as file,
                ):
                    rows = reader_of(path)(path, file)
                    yield from examples_of(rows, path, prefix, columns=wanted.columns)
            except GatedRepoError:
                raise _gated(files.repo) from None


def _gated(repo: str) -> DatasetError:
    return DatasetError(
        f"Data set {repo!r} is gated.",
        remedy="Accept its terms on its page, and set HUGGINGFACE_TOKEN.",
    )


def _of_configuration(files: _Files, folder: str | None) -> list[str]:
    """Return the files of the configuration that is wanted; DatasetError when that is not clear."""
    by_folder: dict[str, list[str]] = {}
    for path in files.paths:
        first = path.split("/")[0] if "/" in path else ""
        plain = first in _PLAIN or _words(first) & {w for s in (_TRAIN, *_HELD_OUT) for w in s}
        by_folder.setdefault("" if plain else first, []).append(path)
    if folder is not None and folder in by_folder:
        return by_folder[folder]
    if folder is None and len(by_folder) == 1:
        return next(iter(by_folder.values()))
    names = ", ".join(sorted(name for name in by_folder if name)) or "none"
    asked = f"has no folder {folder!r}" if folder else "has several configurations"
    raise DatasetError(
        f"Data set {files.repo!r} {asked}.", remedy=f"Write hub:{files.repo}:<folder>: {names}."
    )


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _split_words(path: str) -> set[str]:
    """Return the words of a file's name and its folders."""
    return _words(path.rsplit(".", 1)[0])


def _held_out(paths: Sequence[str]) -> list[str]:
    """Return the files to hold out; none when nothing would be left to train on."""
    for names in _HELD_OUT:
        chosen = [p for p in paths if _split_words(p) & names and not _split_words(p) & _TRAIN]
        if chosen and len(chosen) < len(paths):
            return chosen
    return []


def _unnamed(paths: Sequence[str]) -> list[str]:
    """Return the files that say of no split that they are it; all when every one does."""
    known = frozenset().union(*_HELD_OUT)
    return [p for p in paths if not _split_words(p) & known] or list(paths)
