"""The OpenAI-compatible gateway: agents as models, over HTTP.

====  ====================  =========================================================
POST  /v1/chat/completions  ``model: "agent/<name>"``, whole or streamed
GET   /v1/models            the agents
POST  /v1/feedback          a judgement on an answer, by its request id
GET   /health               whether this process lives, and what is wrong; needs no token
GET   /ready                503 and why while no requests should come here; needs no token
====  ====================  =========================================================

``X-Task-Id`` (else ``metadata.task_id``, ``metadata.thread_id``, ``user``) keeps a task on its arm.
``X-Request-Timeout`` (seconds) limits all attempts together, until a stream's first byte.
``X-Chef-Cache`` says whether a kept answer will do where a cache is configured: ``auto`` (unsampled
ones), ``allow`` (sampled ones too) or ``off``; an answer from the cache says ``hit``.
Answers carry ``X-Request-Id``, ``X-Chef-Arm`` and, for a registered model, ``X-Chef-Version``.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, get_args

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent_orchestrator.domain.outcomes import Feedback
from agent_orchestrator.domain.routing import RoutingTable
from agent_orchestrator.errors import ChefError
from agent_orchestrator.serving import json_bytes
from agent_orchestrator.serving.cache import CacheUse
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.openai_errors import (
    BadRequestError,
    error_event,
    error_response,
    response_to,
)
from agent_orchestrator.serving.outcome_log import OutcomeLog
from agent_orchestrator.serving.readiness import Readiness
from agent_orchestrator.serving.request_ids import RequestIds
from agent_orchestrator.serving.router import RoutedStream, Router, Served

log = logging.getLogger(__name__)

MODEL_PREFIX = "agent/"
READINESS = web.AppKey("readiness", Readiness)
REQUEST_ID = web.RequestKey("request_id", str)
_LONGEST_TASK_ID = 256
_WATCH_PAUSE = 1.0
_OPEN_PATHS = {"/health", "/ready"}
_DRAIN_NOTICE = 0.5
_SSE_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # a proxy in front must not collect the stream
}


class WatchedTables(Protocol):
    """The routing table and its hot reload (``stores.models_yaml.RoutingTableSource``)."""

    current: RoutingTable

    @property
    def last_error(self) -> ChefError | None:
        """Why the file cannot be read; the last good table stays current."""

    async def watch(self) -> None:
        """Follow the file until cancelled."""


def create_app(
    router: Router,
    tables: WatchedTables,
    outcomes: OutcomeLog,
    token: str | None,
    *,
    max_body: int = 16 * 1024 * 1024,
) -> web.Application:
    """Return the gateway as an application that follows ``tables`` while it runs.

    Args:
        router: answers requests; its upstream is entered and left by the caller.
        tables: the router's own source; watched while the application runs.
        outcomes: the router's recorder; entered when the application starts, flushed at its end.
        token: bearer token of the clients; None lets everybody in who reaches the port.
        max_body: largest request body, bytes.
    """
    gateway = _Gateway(router, tables, outcomes, token)
    app = web.Application(client_max_size=max_body, middlewares=[gateway.guard])
    app.router.add_post("/v1/chat/completions", gateway.chat_completions)
    app.router.add_get("/v1/models", gateway.models)
    app.router.add_post("/v1/feedback", gateway.feedback)
    app.router.add_get("/health", gateway.health)
    app.router.add_get("/ready", gateway.ready)
    app[READINESS] = gateway.readiness
    app.on_response_prepare.append(gateway.say_goodbye)
    app.cleanup_ctx.append(gateway.lifetime)
    return app


async def start(
    app: web.Application, *, host: str, port: int, drain_seconds: float = 30.0
) -> web.AppRunner:
    """Serve ``app`` and return its runner, whose ``addresses`` say where (port 0 takes a free one).

    End it with ``drain``. A client that leaves cancels its request's handler, and with it the
    upstream call.
    """
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, shutdown_timeout=drain_seconds
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner


async def drain(runner: web.AppRunner, *, notice_seconds: float = _DRAIN_NOTICE) -> None:
    """End in good order: nobody who was heard goes without an answer, and no outcome is lost.

    ``/ready`` turns to 503 and nothing more is accepted. For ``notice_seconds`` clients that keep
    a connection open learn with their next answer that it closes. Requests under way may end
    within the ``drain_seconds`` of ``start``, the rest is cancelled, and the outcomes are flushed.
    """
    runner.app[READINESS].draining = True
    for site in runner.sites:
        await site.stop()
    await asyncio.sleep(notice_seconds)
    await runner.cleanup()


class _FeedbackRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: Annotated[str, Field(min_length=1, max_length=100)]
    score: Annotated[float, Field(ge=0, le=1)] | None = None
    thumbs: Literal["up", "down"] | None = None
    source: Annotated[str, Field(min_length=1, max_length=100)] = "user"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A chat request, read."""

    agent: str
    body: Mapping[str, Any]
    task_id: str
    streams: bool
    timeout: float | None
    """Most seconds that the client waits for the answer, or a stream's first byte."""
    cache: CacheUse


class _Gateway:
    """The handlers."""

    def __init__(
        self, router: Router, tables: WatchedTables, outcomes: OutcomeLog, token: str | None
    ) -> None:
        self._router = router
        self._tables = tables
        self._outcomes = outcomes
        self.readiness = Readiness(tables, outcomes)
        self._token = token.encode() if token is not None else None
        self._ids = RequestIds()

    async def lifetime(self, _app: web.Application) -> AsyncIterator[None]:
        """Follow models.yaml and write outcomes while the application runs."""
        async with self._outcomes, self._router:
            watching = asyncio.create_task(self._watch(), name="models.yaml")
            yield
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self) -> None:
        while True:
            try:
                await self._tables.watch()
            except Exception:
                log.exception("Following models.yaml broke off; it begins again.")
            await asyncio.sleep(_WATCH_PAUSE)

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the token, give the request its id, turn errors into OpenAI's form."""
        request[REQUEST_ID] = request_id = self._ids.take(request.headers.get("X-Request-Id"))
        response: web.StreamResponse
        try:
            if request.path not in _OPEN_PATHS and not self._is_authorised(request):
                response = _unauthorised()
            else:
                response = await handler(request)
        except ChefError as error:
            response = response_to(error)
        except web.HTTPException as error:
            response = _http_error(error)
        except Exception:
            log.exception("Request %s failed.", request_id)
            response = error_response(500, "The gateway failed.", "server_error", "failed")
        if not response.prepared:
            response.headers["X-Request-Id"] = request_id
        return response

    def _is_authorised(self, request: web.Request) -> bool:
        if self._token is None:
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        raw = given.strip().encode(errors="surrogateescape")
        return hmac.compare_digest(raw, self._token) and scheme.lower() == "bearer"

    async def chat_completions(self, request: web.Request) -> web.StreamResponse:
        """Answer a chat request on the task's arm."""
        asked = _read_chat(request, await _read_object(request))
        if asked.streams:
            return await self._stream(request, asked)
        routed = await self._router.complete(
            asked.agent,
            asked.body,
            task_id=asked.task_id,
            request_id=request[REQUEST_ID],
            timeout=asked.timeout,
            cache=asked.cache,
        )
        return web.Response(
            body=routed.completion.answer.raw,
            content_type="application/json",
            headers=_arm_headers(routed.served),
        )

    async def _stream(self, request: web.Request, asked: _Asked) -> web.StreamResponse:
        stream = await self._router.stream(
            asked.agent,
            asked.body,
            task_id=asked.task_id,
            request_id=request[REQUEST_ID],
            timeout=asked.timeout,
            cache=asked.cache,
        )
        response = web.StreamResponse(headers=_arm_headers(stream.served) | _SSE_HEADERS)
        response.headers["X-Request-Id"] = request[REQUEST_ID]
        async with stream:
            with suppress(ConnectionResetError):  # the client has left
                await response.prepare(request)
                await _pass_on(stream, response)
        return response

    async def models(self, _request: web.Request) -> web.Response:
        """List the agents in the form of OpenAI's models."""
        agents = [
            {"id": MODEL_PREFIX + agent, "object": "model", "created": 0, "owned_by": "code-chef"}
            for agent in self._router.agents()
        ]
        return web.json_response({"object": "list", "data": agents})

    async def feedback(self, request: web.Request) -> web.Response:
        """Keep a judgement: ``{request_id, score 0..1 | thumbs up|down, source}``."""
        given = _read_feedback(await _read_object(request))
        await self._outcomes.add_feedback(given)
        return web.json_response({"request_id": given.request_id, "score": given.score})

    async def health(self, _request: web.Request) -> web.Response:
        """Say that this process lives, and what is wrong; it answers requests either way."""
        problems = self.readiness.problems()
        return web.json_response(
            {
                "status": "degraded" if problems else "ok",
                "problems": problems,
                "outcomes_waiting": self._outcomes.waiting,
                "outcomes_dropped": self._outcomes.dropped,
            }
        )

    async def ready(self, _request: web.Request) -> web.Response:
        """Say whether requests should come here."""
        reasons = self.readiness.reasons()
        said = {"status": "not_ready" if reasons else "ready", "reasons": reasons}
        return web.json_response(said, status=503 if reasons else 200)

    async def say_goodbye(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Let a client go elsewhere for its next request when this process is about to end."""
        if self.readiness.draining:
            response.headers["Connection"] = "close"
            response.force_close()


async def _pass_on(stream: RoutedStream, response: web.StreamResponse) -> None:
    """Write every event as it comes; an error event for a stream that breaks off."""
    try:
        async for chunk in stream:
            await response.write(chunk.raw)
    except UpstreamFailure as failure:
        log.warning("Request %s: %s", stream.served.request_id, failure.message)
        await response.write(error_event(failure))
    await response.write_eof()


async def _read_object(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    try:
        body = json_bytes.loads(raw, allow_nan=False)
    except (ValueError, RecursionError):
        raise BadRequestError("The request body is not JSON.") from None
    if not isinstance(body, dict):
        raise BadRequestError("The request body is not a JSON object.")
    return body


def _read_chat(request: web.Request, body: dict[str, Any]) -> _Asked:
    """Check what routing depends on; the upstream judges the rest."""
    model = body.get("model")
    if not isinstance(model, str) or not model.startswith(MODEL_PREFIX):
        raise BadRequestError(
            f"Unknown model {model!r}: this gateway serves agents.",
            param="model",
            status=404,
            code="model_not_found",
            remedy=f"Use '{MODEL_PREFIX}<name>'; GET /v1/models lists them.",
        )
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise BadRequestError("'messages' must be a list of messages.", param="messages")
    streams = body.get("stream") or False
    if not isinstance(streams, bool):
        raise BadRequestError(f"'stream' must be true or false, not {streams!r}.", param="stream")
    agent = model.removeprefix(MODEL_PREFIX)
    return _Asked(
        agent, body, _task_id(request, body), streams, _timeout(request), _cache_use(request)
    )


def _cache_use(request: web.Request) -> CacheUse:
    given = request.headers.get("X-Chef-Cache", "auto")
    for use in get_args(CacheUse):
        if given == use:
            return use  # type: ignore[no-any-return]
    raise BadRequestError(
        f"X-Chef-Cache is {given!r}.", remedy=f"Use one of {', '.join(get_args(CacheUse))}."
    )


def _timeout(request: web.Request) -> float | None:
    given = request.headers.get("X-Request-Timeout")
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not (seconds > 0 and math.isfinite(seconds)):
        raise BadRequestError(
            f"X-Request-Timeout is {given!r}.", remedy="Give seconds, a number above 0."
        )
    return seconds


def _task_id(request: web.Request, body: Mapping[str, Any]) -> str:
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    candidates = (
        request.headers.get("X-Task-Id"),
        metadata.get("task_id"),
        metadata.get("thread_id"),
        body.get("user"),
    )
    task_id = next((c for c in candidates if c), request[REQUEST_ID])
    if not isinstance(task_id, str) or len(task_id) > _LONGEST_TASK_ID:
        raise BadRequestError(
            f"A task id is text of at most {_LONGEST_TASK_ID} characters.",
            param="metadata.task_id",
            remedy="Set X-Task-Id or metadata.task_id.",
        )
    return task_id


def _read_feedback(body: dict[str, Any]) -> Feedback:
    try:
        given = _FeedbackRequest.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        param = ".".join(str(part) for part in first["loc"])
        raise BadRequestError(f"Feedback: {param}: {first['msg']}.", param=param) from None
    if (given.score is None) == (given.thumbs is None):
        raise BadRequestError(
            "Feedback has either a 'score' or 'thumbs'.",
            param="score",
            remedy="Give a score from 0 to 1, or thumbs 'up' or 'down'.",
        )
    score = given.score if given.score is not None else float(given.thumbs == "up")
    return Feedback(given.request_id, score, given.source, time.time())


def _arm_headers(served: Served) -> dict[str, str]:
    headers = {"X-Chef-Arm": served.arm.name}
    if served.arm.version is not None:
        headers["X-Chef-Version"] = served.arm.version
    if served.cached:
        headers["X-Chef-Cache"] = "hit"
    return headers


def _unauthorised() -> web.Response:
    response = error_response(
        401,
        "The bearer token is missing or wrong.",
        "authentication_error",
        "invalid_api_key",
        remedy="Send 'Authorization: Bearer <CHEF_GATEWAY_TOKEN>'.",
    )
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _http_error(error: web.HTTPException) -> web.Response:
    """Return an error of the HTTP layer (no such path, method, body too large) in OpenAI's form."""
    code = error.reason.lower().replace(" ", "_")
    return error_response(error.status, f"{error.reason}.", "invalid_request_error", code)
