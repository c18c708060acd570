"""From whatever went wrong to one line that says what happened and one that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

FailureKind = Literal[
    "bad_column",
    "bad_spec",
    "disk_full",
    "gated_model",
    "nan_loss",
    "no_reward",
    "no_sandbox",
    "out_of_memory",
    "timeout",
    "unavailable",
    "unknown",
    "unknown_architecture",
    "unknown_base_model",
]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_TEXT: Final = (
    "no space left on device",
    "disk quota exceeded",
    "file too large",
    # safetensors writes in Rust and passes on the number
    "os error 28",
    "os error 122",
    "os error 27",
    # numpy says how many values of an array it got rid of
    " requested and ",
)
_MEMORY_TEXT: Final = ("out of memory", "can't allocate memory", "cannot allocate memory")
_GATED_TEXT: Final = ("gated repo", "awaiting a review from the repo authors")
_NO_MODEL: Final = frozenset(
    {
        "EntryNotFoundError",
        "HFValidationError",
        "LocalEntryNotFoundError",
        "OfflineModeIsEnabled",
        "RemoteEntryNotFoundError",
        "RepositoryNotFoundError",
        "RevisionNotFoundError",
    }
)
_NO_MODEL_TEXT: Final = (
    "is not a local folder and is not a valid model identifier",
    "is not a valid model identifier",
    "couldn't connect to",
    "can't load the configuration",
    "can't load tokenizer",
    "does not recognize this architecture",
    "unrecognized model in",
    "does not appear to have a file named",
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A diagnosed failure, as ``failure.json`` holds it."""

    kind: FailureKind
    message: str
    remedy: str


class Refused(Exception):  # noqa: N818 - the job is refused, nothing broke
    """Raised where the worker itself knows what is wrong."""

    def __init__(self, kind: FailureKind, message: str, remedy: str) -> None:
        super().__init__(message)
        self.failure = Failure(kind, message, remedy)


class Interrupted(BaseException):
    """Base of what signals raise; not an Exception, so that no library swallows it."""


class Cancelled(Interrupted):
    """SIGTERM came."""


class TimeIsUp(Interrupted):
    """``max_seconds`` are over."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The job ran longer than max_seconds = {seconds:g}.")


def diagnose(error: BaseException) -> Failure:
    """Return the failure that ``error``, or what caused it, stands for."""
    for cause in _chain(error):
        if isinstance(cause, Refused):
            return cause.failure
        if isinstance(cause, TimeIsUp):
            return Failure("timeout", str(cause), "Raise max_seconds or train fewer steps.")
        for matches, kind, message, remedy in _TABLE:
            if matches(cause):
                return Failure(kind, f"{message} ({_line(cause)})", remedy)
    return Failure("unknown", _line(error), "Read worker.log in the job's folder.")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what led to it, the nearest first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _says(error: BaseException, *texts: str) -> bool:
    said = str(error).lower().replace("’", "'")
    return any(text in said for text in texts)


def _class_names(error: BaseException) -> set[str]:
    return {cls.__name__ for cls in type(error).__mro__}


def _is_full(error: BaseException) -> bool:
    return (isinstance(error, OSError) and error.errno in _FULL) or _says(error, *_FULL_TEXT)


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (
        isinstance(error, OSError | RuntimeError) and _says(error, *_MEMORY_TEXT)
    )


def _is_gated(error: BaseException) -> bool:
    return "GatedRepoError" in _class_names(error) or _says(error, *_GATED_TEXT)


def _is_no_model(error: BaseException) -> bool:
    return not _class_names(error).isdisjoint(_NO_MODEL) or (
        isinstance(error, OSError | ValueError | KeyError) and _says(error, *_NO_MODEL_TEXT)
    )


_TABLE: Final[tuple[tuple[Callable[[BaseException], bool], FailureKind, str, str], ...]] = (
    (
        _is_full,
        "disk_full",
        "The disk is full, or a quota or limit on file sizes is reached.",
        "Free some space and submit the job again.",
    ),
    (
        _is_memory,
        "out_of_memory",
        "The memory was not enough.",
        "Lower batch_size or max_length, train with LoRA, or choose larger hardware.",
    ),
    (
        _is_gated,
        "gated_model",
        "The base model is gated.",
        "Accept its licence on the Hub and set HUGGINGFACE_TOKEN.",
    ),
    (
        _is_no_model,
        "unknown_base_model",
        "The base model was found neither on this machine nor on the Hub.",
        "Check base_model; a private one needs HUGGINGFACE_TOKEN, a remote one the network.",
    ),
)
