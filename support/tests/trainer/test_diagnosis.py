"""From whatever went wrong to a kind, a line and a remedy."""

import errno

import pytest

from agent_orchestrator.trainer.diagnosis import Cancelled, Refused, TimeIsUp, diagnose


class GatedRepoError(OSError):
    """As huggingface_hub names it."""


class RepositoryNotFoundError(OSError):
    """As huggingface_hub names it."""


class LocalEntryNotFoundError(FileNotFoundError):
    """As huggingface_hub names it."""


class SafetensorError(Exception):
    """As safetensors names it."""


def chained(error: Exception, cause: Exception) -> Exception:
    """Return an error with what led to it."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full"),
        (OSError(errno.EFBIG, "File too large"), "disk_full"),
        (SafetensorError("Error while serializing: I/O error: x (os error 28)"), "disk_full"),
        (RuntimeError("[enforce fail] . file write failed: No space left on device"), "disk_full"),
        (chained(RuntimeError("saving failed"), OSError(errno.ENOSPC, "full")), "disk_full"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory"),
        (GatedRepoError("403 Client Error"), "gated_model"),
        (chained(OSError("cannot load"), GatedRepoError("403")), "gated_model"),
        (OSError("You are trying to access a gated repo."), "gated_model"),
        (RepositoryNotFoundError("404 Client Error"), "unknown_base_model"),
        (RepositoryNotFoundError("To access a private or gated repo …"), "unknown_base_model"),
        (OSError("9600 requested and 6704 written"), "disk_full"),
        (LocalEntryNotFoundError("not in the cache"), "unknown_base_model"),
        (
            OSError("a/b is not a local folder and is not a valid model identifier listed on"),
            "unknown_base_model",
        ),
        (
            OSError("We couldn't connect to 'https://huggingface.co' to load the files"),
            "unknown_base_model",
        ),
        (
            ValueError("... but Transformers does not recognize this architecture."),
            "unknown_base_model",
        ),
        (TimeIsUp(3.0), "timeout"),
        (Refused("nan_loss", "The loss became nan.", "Lower the learning rate."), "nan_loss"),
        (chained(RuntimeError("in a map"), Refused("bad_column", "m", "r")), "bad_column"),
        (ValueError("something else"), "unknown"),
        (Cancelled(), "unknown"),
    ],
)
def test_an_error_gets_the_kind_that_it_or_its_cause_stands_for(error: BaseException, kind: str):
    """The nearest error of the chain that says something decides."""
    assert diagnose(error).kind == kind


def test_a_failure_is_one_line_with_a_remedy():
    """Line breaks of a library's message do not reach the user, and something can be done."""
    failure = diagnose(OSError(errno.ENOSPC, "No space\nleft on device"))
    assert "\n" not in failure.message
    assert failure.remedy


def test_an_unknown_error_keeps_its_type_and_text():
    """What cannot be diagnosed is at least said."""
    assert diagnose(KeyError("weights")).message == "KeyError: 'weights'"


def test_a_circle_of_causes_ends():
    """Two errors that name each other as cause are looked at once each."""
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert diagnose(first).kind == "unknown"
