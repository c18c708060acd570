"""What goes wrong in a call over HTTP, as an UpstreamFailure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def failures_of(model: str) -> Iterator[None]:
    """Turn whatever can go wrong in a call into an UpstreamFailure."""
    try:
        yield
    except TimeoutError as error:
        raise _failure(f"{model} did not answer in time", "timeout", error) from error
    except (aiohttp.ClientConnectionError, OSError) as error:
        raise _failure(f"{model} cannot be reached", "connection", error) from error
    except ReportedError as error:
        raise UpstreamFailure(f"{model} reported an error: {error}", kind="status") from error
    except (aiohttp.ClientError, WireError) as error:
        raise _failure(f"{model} gave no OpenAI answer", "protocol", error) from error


@contextmanager
def cut_off(model: str) -> Iterator[None]:
    """Turn a connection lost while the answer came into an UpstreamFailure."""
    try:
        yield
    except TimeoutError:
        raise
    except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, OSError) as error:
        raise _failure(f"{model} broke off its answer", "cut_off", error) from error


def _failure(what: str, kind: ErrorKind, error: Exception) -> UpstreamFailure:
    detail = " ".join(str(error).split())[:300] or type(error).__name__
    return UpstreamFailure(f"{what}: {detail}.", kind=kind)
