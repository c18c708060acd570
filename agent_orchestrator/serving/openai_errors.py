"""Errors as OpenAI's clients understand them: ``{"error": {message, type, code, param}}``.

``remedy`` is ours: what to do next.
"""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from typing import Any

from aiohttp import web

from agent_orchestrator.errors import (
    ChefError,
    ConflictError,
    InputError,
    NotFoundError,
    StorageError,
    UnavailableError,
    UnknownAgentError,
)
from agent_orchestrator.serving.admission import OverloadedError
from agent_orchestrator.serving.call import NoAnswerError, OutOfTimeError
from agent_orchestrator.serving.failures import UpstreamFailure


class BadRequestError(InputError):
    """A request that this gateway cannot take; ``param`` names the field at fault."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        remedy: str = "",
        status: int = HTTPStatus.BAD_REQUEST,
        code: str = "invalid_request",
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.param = param
        self.status = status
        self.code = code


_STATUSES: tuple[tuple[type[ChefError], HTTPStatus, str], ...] = (
    (UnknownAgentError, HTTPStatus.NOT_FOUND, "model_not_found"),
    (OutOfTimeError, HTTPStatus.GATEWAY_TIMEOUT, "timeout"),
    (NotFoundError, HTTPStatus.NOT_FOUND, "not_found"),
    (ConflictError, HTTPStatus.CONFLICT, "conflict"),
    (InputError, HTTPStatus.BAD_REQUEST, "invalid_request"),
    (OverloadedError, HTTPStatus.SERVICE_UNAVAILABLE, "overloaded"),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
    (StorageError, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
)


def error_body(
    message: str, kind: str, code: str, *, param: str | None = None, remedy: str = ""
) -> dict[str, Any]:
    """Return the JSON object of an error."""
    text = f"{message} {remedy}".strip()
    error = {"message": text, "type": kind, "code": code, "param": param, "remedy": remedy}
    return {"error": error}


def error_response(
    status: int, message: str, kind: str, code: str, *, param: str | None = None, remedy: str = ""
) -> web.Response:
    """Return an error as a response."""
    body = error_body(message, kind, code, param=param, remedy=remedy)
    return web.json_response(body, status=status)


def error_event(failure: UpstreamFailure) -> bytes:
    """Return the server-sent event that ends a stream which broke off."""
    body = error_body(failure.message, "upstream_error", failure.kind, remedy=failure.remedy)
    return f"data: {json.dumps(body)}\n\n".encode()


def response_to(error: ChefError) -> web.Response:
    """Return the response that tells a client of ``error``."""
    if isinstance(error, NoAnswerError):
        return _no_answer(error)
    if isinstance(error, UpstreamFailure):
        return _passed_on(error)
    if isinstance(error, BadRequestError):
        status, code, param = error.status, error.code, error.param
    else:
        status, code = next(
            ((status, code) for kind, status, code in _STATUSES if isinstance(error, kind)),
            (HTTPStatus.INTERNAL_SERVER_ERROR, "failed"),
        )
        param = None
    response = _response(error, status, code, param)
    if isinstance(error, OverloadedError):
        response.headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    return response


def _response(error: ChefError, status: int, code: str, param: str | None) -> web.Response:
    kind = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    return error_response(status, error.message, kind, code, param=param, remedy=error.remedy)


def _no_answer(error: NoAnswerError) -> web.Response:
    """502, 504 when the last attempt ran out of time, 503 when every breaker is open."""
    last = error.attempts[-1].error or ""
    status = HTTPStatus.GATEWAY_TIMEOUT if last == "timeout" else HTTPStatus.BAD_GATEWAY
    if error.retry_after_s is not None:
        status = HTTPStatus.SERVICE_UNAVAILABLE
    response = error_response(status, error.message, "upstream_error", last, remedy=error.remedy)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(int(error.retry_after_s) + 1)
    return response


def _passed_on(failure: UpstreamFailure) -> web.Response:
    """The upstream's own words where they have the form that clients expect."""
    status = failure.status or HTTPStatus.BAD_GATEWAY
    try:
        well_formed = isinstance(json.loads(failure.body)["error"], dict)
    except (ValueError, TypeError, KeyError, RecursionError):
        well_formed = False
    if well_formed:
        return web.Response(body=failure.body, status=status, content_type="application/json")
    return error_response(
        status, failure.message, "invalid_request_error", failure.kind, remedy=failure.remedy
    )
