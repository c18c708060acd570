"""Every error this package raises on purpose, branched by what the caller can do about it.

::

    ChefError
    ├── InputError                 fix the request                      exit 2
    │   ├── UnknownAgentError          no such agent in models.yaml
    │   ├── VersionNotFoundError       no such version in the registry
    │   ├── ModelIdError               not a model id
    │   ├── DatasetError               a data set that cannot be used
    │   │   └── EmptyRowError              a row that asks nothing
    │   ├── NotFoundError              no such job, approval, rollout …
    │   └── KeyReusedError             an idempotency key of another request
    ├── ConfigurationError         fix a file or a variable             exit 2
    │   ├── ModelsYamlError            config/agents/models.yaml
    │   ├── RegistryError              config/models/registry.json
    │   └── SettingsError              environment, training defaults …
    ├── ApprovalRequired           have it approved, then resume        exit 3
    ├── ApprovalDenied             ask again: rejected, expired, spent  exit 1
    ├── Forbidden                  ask somebody whose role allows it    exit 1
    ├── Stopped                    say it again                     exit 1
    ├── ConflictError              finish or undo what is under way     exit 1
    │   └── KeyInUseError              an idempotency key without an answer yet
    ├── UnavailableError           try again later                      exit 1
    │   ├── LockTimeout                another process holds the lock
    │   └── UpstreamError              a model or service did not answer
    └── FailedError                it was tried and did not work        exit 1
        ├── GateFailed                 the checklist before traffic
        ├── JobFailed                  a job ended as failed
        ├── StorageError               disk full, read-only …
        └── NotAvailable               this build cannot do it

A message names the key and the value; ``remedy`` says what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class ChefError(Exception):
    """Base of all errors raised on purpose.

    ``message`` is one line for a person; ``remedy`` is the next thing to do (empty when there is
    none). ``exit_code`` is what the command line returns.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class InputError(ChefError):
    """The request itself is wrong.

    ``field`` is the value that is, e.g. ``overrides.seed``; empty where it is no single one.
    """

    exit_code = 2

    def __init__(self, message: str, *, remedy: str = "", field: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.field = field


class UnknownAgentError(InputError):
    """The agent has no entry in models.yaml."""

    def __init__(self, agent: str, known: list[str]) -> None:
        super().__init__(f"Unknown agent {agent!r}.", remedy=f"Known agents: {', '.join(known)}.")


class VersionNotFoundError(InputError):
    """The registry has no such version for the agent."""


class ModelIdError(InputError):
    """The text is not a model id of the form ``name`` or ``owner/name``."""


class DatasetError(InputError):
    """A data set that cannot be used as asked."""


class EmptyRowError(DatasetError):
    """A row of a data set that asks nothing."""


class NotFoundError(InputError):
    """No such job, approval, rollout or request."""


class KeyReusedError(InputError):
    """An idempotency key that came with another request before."""


class ConfigurationError(ChefError):
    """A file or variable of the installation is wrong."""

    exit_code = 2


class ModelsYamlError(ConfigurationError):
    """config/agents/models.yaml is broken or contradicts itself."""


class RegistryError(ConfigurationError):
    """config/models/registry.json is broken or contradicts itself."""


class SettingsError(ConfigurationError):
    """An environment variable or a defaults file is wrong."""


class ApprovalRequired(ChefError):  # noqa: N818 - a state the caller acts on, not a fault
    """The request waits for a person; ``approval_id`` names what to approve."""

    exit_code = 3

    def __init__(self, approval_id: str, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.approval_id = approval_id


class ApprovalDenied(ChefError):  # noqa: N818
    """The approval was rejected, has expired, was spent, or covers another request."""


class Forbidden(ChefError):  # noqa: N818
    """The caller's role does not allow this; nothing was done."""


class Stopped(ChefError):  # noqa: N818
    """Who had asked for it has stopped it."""


class ConflictError(ChefError):
    """Something under way stands against the request (a running rollout, a finished job …)."""


class KeyInUseError(ConflictError):
    """An idempotency key whose request is under way, or was cut off before it was answered."""


class UnavailableError(ChefError):
    """May work later without any change."""


class LockTimeout(UnavailableError):  # noqa: N818
    """Another process held a lock for longer than we wait."""


class UpstreamError(UnavailableError):
    """A model server or remote service refused, broke off or did not answer in time."""


class FailedError(ChefError):
    """It was tried and did not work."""


class GateFailed(FailedError):  # noqa: N818
    """The candidate did not pass the checklist; no traffic has moved.

    ``checklist`` is every point that was looked at: its name, its verdict, what was found.
    """

    def __init__(
        self, message: str, *, remedy: str = "", checklist: Sequence[tuple[str, str, str]] = ()
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.checklist = tuple(checklist)


class JobFailed(FailedError):  # noqa: N818
    """A job ended as failed."""


class StorageError(FailedError):
    """Writing failed (disk full, read-only …); the old content stands."""


class NotAvailable(FailedError):  # noqa: N818
    """Known, but not available in this build."""


def as_document(error: ChefError) -> dict[str, object]:
    """Return what programs are told of an error, JSON: its name, message, remedy, and its own."""
    document: dict[str, object] = {
        "error": type(error).__name__,
        "message": error.message,
        "remedy": error.remedy,
    }
    if isinstance(error, ApprovalRequired):
        document["approval_id"] = error.approval_id
    if isinstance(error, GateFailed):
        points = ("name", "verdict", "message")
        document["checklist"] = [dict(zip(points, p, strict=True)) for p in error.checklist]
    return document
