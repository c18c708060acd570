"""Errors as problem details (RFC 9457): every error of the API has this one form.

``detail`` is the message and ``remedy`` what to do next. ``type`` is ``urn:code-chef:problem:``
followed by the error's name; programs tell errors by it, never by their text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_orchestrator import errors
from agent_orchestrator.api.limits import BODY_BYTES
from agent_orchestrator.errors import ChefError

MEDIA_TYPE: Final = "application/problem+json"
_TYPE: Final = "urn:code-chef:problem:"

#: The nearest class of an error's ancestry decides.
_STATUS: Final[Mapping[type[ChefError], HTTPStatus]] = {
    errors.InputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnknownAgentError: HTTPStatus.NOT_FOUND,
    errors.VersionNotFoundError: HTTPStatus.NOT_FOUND,
    errors.NotFoundError: HTTPStatus.NOT_FOUND,
    errors.ConfigurationError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ApprovalRequired: HTTPStatus.FORBIDDEN,
    errors.ApprovalDenied: HTTPStatus.FORBIDDEN,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.Stopped: HTTPStatus.CONFLICT,
    errors.ConflictError: HTTPStatus.CONFLICT,
    errors.UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.UpstreamError: HTTPStatus.BAD_GATEWAY,
    errors.FailedError: HTTPStatus.FAILED_DEPENDENCY,
    errors.StorageError: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.NotAvailable: HTTPStatus.NOT_IMPLEMENTED,
    ChefError: HTTPStatus.FAILED_DEPENDENCY,
}
_RETRY_SECONDS: Final = "5"

_DOCUMENT: Final = "See /openapi.json for what there is and what it takes."
#: What to do about what HTTP itself has a name for; the document says the rest.
_REMEDIES: Final[Mapping[int, str]] = {
    HTTPStatus.BAD_REQUEST: "Check the request's Host and Origin, and that its body is JSON.",
    HTTPStatus.UNAUTHORIZED: (
        "Ask whoever runs the server for a token: they make one on its machine, with "
        "`chef api tokens add NAME --role ROLE`."
    ),
    HTTPStatus.FORBIDDEN: "Send an access token.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"Send at most {BODY_BYTES:,} bytes.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Send JSON, as Content-Type: application/json.",
    HTTPStatus.TOO_MANY_REQUESTS: "Wait for the seconds that Retry-After says, or end a stream.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "See the server's log.",
}


class InvalidField(BaseModel):
    """One wrong value of a request."""

    where: str
    """E.g. ``body.percent``."""
    message: str


class ChecklistPoint(BaseModel):
    """One point of the checklist before traffic."""

    name: str
    verdict: str
    message: str


class ProblemDetails(BaseModel):
    """What went wrong, and what to do."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str = Field(examples=[f"{_TYPE}conflict-error"])
    """``urn:code-chef:problem:`` and the error's name."""
    title: str
    """The same for every problem of its type."""
    status: int
    detail: str
    """One line for a person: names the field and its value."""
    remedy: str = ""
    """What to do next."""
    errors: list[InvalidField] = []
    """Each wrong value, when the request is not valid."""
    checklist: list[ChecklistPoint] = []
    """What was looked at, when the checklist before traffic did not pass."""


def status_of(error: ChefError) -> HTTPStatus:
    """Return the status that an error is answered with."""
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)


def of_error(error: ChefError) -> ProblemDetails:
    """Return an error as a problem."""
    points = error.checklist if isinstance(error, errors.GateFailed) else ()
    field = error.field if isinstance(error, errors.InputError) else ""
    return ProblemDetails(
        type=_TYPE + _words(type(error).__name__).replace(" ", "-"),
        title=_words(type(error).__name__).capitalize(),
        status=status_of(error),
        detail=error.message,
        remedy=error.remedy,
        errors=[InvalidField(where=f"body.{field}", message=error.message)] if field else [],
        checklist=[
            ChecklistPoint(name=name, verdict=verdict, message=message)
            for name, verdict, message in points
        ],
    )


def of_status(status: int, detail: str = "") -> ProblemDetails:
    """Return a problem that HTTP itself has a name for, with what to do about its kind."""
    phrase = HTTPStatus(status).phrase
    return ProblemDetails(
        type=_TYPE + phrase.lower().replace(" ", "-"),
        title=phrase,
        status=status,
        detail=detail or phrase,
        remedy=_REMEDIES.get(status, _DOCUMENT),
    )


def of_invalid(found: Sequence[Any]) -> ProblemDetails:
    """Return pydantic's errors as a problem. The values are left out: one may be a secret."""
    fields = [
        InvalidField(where=".".join(map(str, one["loc"])), message=one["msg"]) for one in found
    ]
    return ProblemDetails(
        type=_TYPE + "input-error",
        title="Input error",
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        detail="; ".join(f"{field.where}: {field.message}" for field in fields),
        remedy=_DOCUMENT,
        errors=fields,
    )


def response(problem: ProblemDetails, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem as a response."""
    return Response(
        problem.model_dump_json(),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


#: ``responses`` of an application whose every route may answer with a problem.
DOCUMENTED: Final[dict[int | str, dict[str, Any]]] = {
    "default": {
        "description": "A problem: the request, or its moment, is wrong.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
    }
}


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""

    @app.exception_handler(ChefError)
    async def chef_error(_request: Request, error: ChefError) -> Response:
        problem = of_error(error)
        retry = {"Retry-After": _RETRY_SECONDS}
        return response(problem, retry if isinstance(error, errors.UnavailableError) else None)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        return response(of_invalid(error.errors()))

    @app.exception_handler(HTTPException)
    async def http(_request: Request, error: HTTPException) -> Response:
        return response(of_status(error.status_code, str(error.detail)), error.headers)

    @app.exception_handler(Exception)
    async def unexpected(_request: Request, _error: Exception) -> Response:
        return response(of_status(500, "The server failed."))


class OneForm:
    """ASGI middleware: what other middlewares refuse in plain text becomes a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on but errors in plain text."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused: ProblemDetails | None = None

        async def send_in_form(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                kind = Headers(raw=message["headers"]).get("content-type", "")
                if message["status"] >= HTTPStatus.BAD_REQUEST and kind.startswith("text/plain"):
                    refused = of_status(message["status"])
                    return
            if refused is None:
                await send(message)
                return
            refused.detail = message.get("body", b"").decode() or refused.detail
            await response(refused)(scope, receive, send)

        await self._app(scope, receive, send_in_form)


def _words(name: str) -> str:
    """Return a class name's words: ``UnknownAgentError`` → ``unknown agent error``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
