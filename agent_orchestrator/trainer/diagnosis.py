"""From whatever went wrong to one line that says what happened and one that says what to do."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

FailureKind = Literal[
    "bad_column",
    "bad_spec",
    "disk_full",
    "gated_model",
    "killed",
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


_RAISED: Final = re.compile(r"([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|NotFound))(?:: (.*))?$")
"""The last line of a traceback."""
_READ: Final = "Read worker.log in the job's folder."


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


@dataclass(frozen=True, slots=True)
class Said:
    """What is known of an error: that it was raised here, or only what a log tells of it."""

    names: frozenset[str]
    """Of its class and its bases."""
    text: str
    errno: int | None = None

    @classmethod
    def by(cls, error: BaseException) -> Said:
        """Return what ``error`` says."""
        names = frozenset(kind.__name__ for kind in type(error).__mro__)
        return cls(names, str(error), error.errno if isinstance(error, OSError) else None)

    def line(self, name: str) -> str:
        """Return one line that begins with the error's own name."""
        text = " ".join(self.text.split())
        return f"{name}: {text[:300]}" if text else name

    def has(self, *texts: str) -> bool:
        """Tell whether one of the texts is in it."""
        said = self.text.lower().replace("’", "'")
        return any(text in said for text in texts)


def diagnose(error: BaseException) -> Failure:
    """Return the failure that ``error``, or what caused it, stands for."""
    for cause in _chain(error):
        if isinstance(cause, Refused):
            return cause.failure
        if isinstance(cause, TimeIsUp):
            return Failure("timeout", str(cause), "Raise max_seconds or train fewer steps.")
        found = _look_up(Said.by(cause), type(cause).__name__)
        if found is not None:
            return found
    return Failure("unknown", Said.by(error).line(type(error).__name__), _READ)


def diagnose_log(lines: Sequence[str]) -> Failure:
    """Return the failure that tracebacks in a log stand for; the last error says it first."""
    raised = [match.groups(default="") for line in lines if (match := _RAISED.match(line))]
    for name, text in reversed(raised):
        short = name.rpartition(".")[2]
        # A log names no base classes; these are the ones that the table asks for.
        found = _look_up(Said(frozenset({short, "OSError", "RuntimeError"}), text), short)
        if found is not None:
            return found
    name, text = raised[-1] if raised else ("Error", lines[-1] if lines else "")
    return Failure("unknown", Said(frozenset(), text).line(name.rpartition(".")[2]), _READ)


def _look_up(said: Said, name: str) -> Failure | None:
    for matches, kind, message, remedy in _TABLE:
        if matches(said):
            return Failure(kind, f"{message} ({said.line(name)})", remedy)
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what led to it, the nearest first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _is_full(said: Said) -> bool:
    return said.errno in _FULL or said.has(*_FULL_TEXT)


def _is_memory(said: Said) -> bool:
    return "MemoryError" in said.names or (
        not said.names.isdisjoint({"OSError", "RuntimeError"}) and said.has(*_MEMORY_TEXT)
    )


def _is_gated(said: Said) -> bool:
    if "RepositoryNotFoundError" in said.names:  # its text speaks of gated ones too
        return "GatedRepoError" in said.names
    return "GatedRepoError" in said.names or said.has(*_GATED_TEXT)


def _is_no_model(said: Said) -> bool:
    return not said.names.isdisjoint(_NO_MODEL) or (
        not said.names.isdisjoint({"OSError", "ValueError", "KeyError"})
        and said.has(*_NO_MODEL_TEXT)
    )


def _is_no_engine(said: Said) -> bool:
    return "ModuleNotFoundError" in said.names


_TABLE: Final[tuple[tuple[Callable[[Said], bool], FailureKind, str, str], ...]] = (
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
    (
        _is_no_engine,
        "unavailable",
        "The interpreter lacks what the engine needs.",
        "Run `make setup-trainer` (TRL) or `make setup-autotrain` (AutoTrain) again.",
    ),
)
