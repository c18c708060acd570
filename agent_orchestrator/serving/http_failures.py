"""What goes wrong in a call over HTTP, as an UpstreamFailure."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Self

import aiohttp

from agent_orchestrator.domain.outcomes import ErrorKind
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.wire import ReportedError, WireError, error_text

_REQUEST_AT_FAULT = {400, 413, 422}
_MAX_ERROR_BYTES = 64 * 1024


async def refusal(model: str, response: aiohttp.ClientResponse, missing: str) -> UpstreamFailure:
    """Return the failure that a status other than 200 stands for."""
    body = await response.content.read(_MAX_ERROR_BYTES)
    try:
        reason = error_text(json.loads(body))
    except (ValueError, AttributeError, RecursionError):
        reason = " ".join(body[:300].decode(errors="replace").split())
    return UpstreamFailure(
        f"{model} answered with status {response.status}: {reason}",
        kind="status",
        remedy=missing,
        retryable=response.status not in _REQUEST_AT_FAULT,
        status=response.status,
        body=body,
    )


class _Translation(ABC):
    """A context manager that turns some errors of its block into an UpstreamFailure.

    A class, and no generator under ``@contextmanager``: every request passes two of them, and a
    generator costs three times as much.
    """

    __slots__ = ("_model",)

    def __init__(self, model: str) -> None:
        self._model = model

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        failure = self._failure(error) if isinstance(error, Exception) else None
        if failure is not None:
            raise failure from error

    @abstractmethod
    def _failure(self, error: Exception) -> UpstreamFailure | None:
        """Return what ``error`` means, None to let it pass."""


class failures_of(_Translation):  # noqa: N801 - reads as a sentence: with failures_of(model)
    """Turn whatever can go wrong in a call into an UpstreamFailure."""

    __slots__ = ()

    def _failure(self, error: Exception) -> UpstreamFailure | None:
        match error:
            case TimeoutError():
                return _failure(f"{self._model} did not answer in time", "timeout", error)
            case aiohttp.ClientConnectionError() | OSError():
                return _failure(f"{self._model} cannot be reached", "connection", error)
            case ReportedError():
                return UpstreamFailure(f"{self._model} reported an error: {error}", kind="status")
            case aiohttp.ClientError() | WireError():
                return _failure(f"{self._model} gave no OpenAI answer", "protocol", error)
            case _:
                return None


class cut_off(_Translation):  # noqa: N801
    """Turn a connection lost while the answer came into an UpstreamFailure."""

    __slots__ = ()

    def _failure(self, error: Exception) -> UpstreamFailure | None:
        match error:
            case TimeoutError():
                return None
            case aiohttp.ClientPayloadError() | aiohttp.ClientConnectionError() | OSError():
                return _failure(f"{self._model} broke off its answer", "cut_off", error)
            case _:
                return None


def _failure(what: str, kind: ErrorKind, error: Exception) -> UpstreamFailure:
    detail = " ".join(str(error).split())[:300] or type(error).__name__
    return UpstreamFailure(f"{what}: {detail}.", kind=kind)
