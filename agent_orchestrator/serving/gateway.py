"""The OpenAI-compatible gateway: agents as models, over HTTP.

====  ====================  =========================================================
POST  /v1/chat/completions  ``model: "agent/<name>"``, whole or streamed
GET   /v1/models            the agents
POST  /v1/feedback          a judgement on an answer, by its request id
GET   /metrics              Prometheus's text format
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
import logging
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from agent_orchestrator.domain.routing import RoutingTable
from agent_orchestrator.errors import ChefError, UnknownAgentError
from agent_orchestrator.serving.admission import Admission, Limits
from agent_orchestrator.serving.clients import METRICS_PATH, Clients, WatchedKeys
from agent_orchestrator.serving.gateway_answers import (
    SSE_HEADERS,
    arm_headers,
    forbidden,
    http_error,
    pass_on,
    unauthorised,
)
from agent_orchestrator.serving.gateway_gauges import observe
from agent_orchestrator.serving.gateway_requests import (
    MODEL_PREFIX,
    REQUEST_ID,
    Asked,
    read_chat,
    read_feedback,
    read_object,
)
from agent_orchestrator.serving.metrics import CONTENT_TYPE, Metrics
from agent_orchestrator.serving.openai_errors import (
    error_response,
    response_to,
)
from agent_orchestrator.serving.outcome_log import OutcomeLog
from agent_orchestrator.serving.readiness import Readiness
from agent_orchestrator.serving.request_ids import RequestIds
from agent_orchestrator.serving.router import Router
from agent_orchestrator.serving.watching import WatchedFile, followed

log = logging.getLogger(__name__)

CLIENT = web.RequestKey("client", str)
READINESS = web.AppKey("readiness", Readiness)
_OPEN_PATHS = {"/health", "/ready"}
_DRAIN_NOTICE = 0.5


class WatchedTables(WatchedFile, Protocol):
    """The routing table and its hot reload (``stores.models_yaml.RoutingTableSource``)."""

    current: RoutingTable


def create_app(
    router: Router,
    tables: WatchedTables,
    outcomes: OutcomeLog,
    token: str | None,
    *,
    keys: WatchedKeys | None = None,
    limits: Limits | None = None,
    metrics: Metrics | None = None,
) -> web.Application:
    """Return the gateway as an application that follows ``tables`` while it runs.

    Args:
        router: answers requests; its upstream is entered and left by the caller.
        tables: the router's own source; watched while the application runs.
        outcomes: the router's recorder; entered when the application starts, flushed at its end.
        token: bearer token that opens everything.
        keys: the clients that have a key of their own; watched while the application runs. With
            neither token nor keys (None) everybody is let in who reaches the port.
        limits: what this process takes on.
        metrics: what ``/metrics`` says; the router's recorder may count in it too (``Measured``).
    """
    limits = limits or Limits()
    gateway = _Gateway(
        router,
        tables,
        outcomes,
        clients=Clients(token, keys),
        limits=limits,
        metrics=metrics or Metrics(),
    )
    app = web.Application(client_max_size=limits.body_bytes, middlewares=[gateway.guard])
    app.router.add_get(METRICS_PATH, gateway.metrics)
    app.router.add_post("/v1/chat/completions", gateway.chat_completions)
    app.router.add_get("/v1/models", gateway.models)
    app.router.add_post("/v1/feedback", gateway.feedback)
    app.router.add_get("/health", gateway.health)
    app.router.add_get("/ready", gateway.ready)
    app[READINESS] = gateway.readiness
    app.on_response_prepare.append(gateway.say_goodbye)
    app.cleanup_ctx.append(gateway.lifetime)
    for file, name in ((tables, "models.yaml"), (keys, "the gateway's keys")):
        if file is not None:
            app.cleanup_ctx.append(partial(_follow, file, name))
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


class _Gateway:
    """The handlers."""

    def __init__(
        self,
        router: Router,
        tables: WatchedTables,
        outcomes: OutcomeLog,
        *,
        clients: Clients,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self._router = router
        self._outcomes = outcomes
        self.readiness = Readiness(tables, outcomes)
        self._clients = clients
        self._limits = limits
        self._admission = Admission(limits)
        self._metrics = metrics
        self._ids = RequestIds()
        observe(metrics, router, tables, outcomes, self._admission)

    async def lifetime(self, _app: web.Application) -> AsyncIterator[None]:
        """Write outcomes while the application runs."""
        async with self._outcomes, self._router:
            yield

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the token, give the request its id, turn errors into OpenAI's form."""
        request[REQUEST_ID] = request_id = self._ids.take(request.headers.get("X-Request-Id"))
        response: web.StreamResponse | None = None
        try:
            response = await self._answer(request, handler)
            if not response.prepared:
                response.headers["X-Request-Id"] = request_id
            return response
        finally:
            if request.path not in _OPEN_PATHS:
                client = request.get(CLIENT, "unknown")
                self._metrics.answered(client, response.status if response else None)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path not in _OPEN_PATHS:
                client = self._clients.of(request.headers.get("Authorization", ""))
                if client is None:
                    return unauthorised()
                request[CLIENT] = client.name
                if not client.may(request.path):
                    return forbidden(client)
            return await handler(request)
        except ChefError as error:
            return response_to(error)
        except web.HTTPException as error:
            return http_error(error)
        except Exception:
            client_name = request.get(CLIENT)
            log.exception("Request %s of %s failed.", request[REQUEST_ID], client_name)
            return error_response(500, "The gateway failed.", "server_error", "failed")

    async def chat_completions(self, request: web.Request) -> web.StreamResponse:
        """Answer a chat request on the task's arm."""
        begun = time.monotonic()
        async with self._admission.request():
            asked = read_chat(request, await read_object(request, self._limits.body_seconds))
            async with self._admission.of_agent(self._known(asked.agent)):
                if asked.streams:
                    return await self._stream(request, asked)
                return await self._whole(request, asked, begun)

    def _known(self, agent: str) -> str:
        """Return the agent's name: nobody else's may be remembered. Raises UnknownAgentError."""
        agents = self._router.agents()
        if agent not in agents:
            raise UnknownAgentError(agent, agents)
        return agent

    async def _whole(self, request: web.Request, asked: Asked, begun: float) -> web.Response:
        routed = await self._router.complete(
            asked.agent,
            asked.body,
            task_id=asked.task_id,
            request_id=request[REQUEST_ID],
            timeout=asked.timeout,
            cache=asked.cache,
        )
        if not (routed.served.failed or routed.served.cached):
            attempt = routed.completion.latency_ms / 1000
            self._metrics.added(time.monotonic() - begun - attempt)
        return web.Response(
            body=routed.completion.answer.raw,
            content_type="application/json",
            headers=arm_headers(routed.served),
        )

    async def _stream(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        stream = await self._router.stream(
            asked.agent,
            asked.body,
            task_id=asked.task_id,
            request_id=request[REQUEST_ID],
            timeout=asked.timeout,
            cache=asked.cache,
        )
        response = web.StreamResponse(headers=arm_headers(stream.served) | SSE_HEADERS)
        response.headers["X-Request-Id"] = request[REQUEST_ID]
        async with stream:
            with suppress(ConnectionResetError):  # the client has left
                await response.prepare(request)
                await pass_on(stream, response, self._limits.write_seconds)
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
        body = await read_object(request, self._limits.body_seconds)
        given = read_feedback(body)
        await self._outcomes.add_feedback(given)
        self._router.judged(given)
        return web.json_response({"request_id": given.request_id, "score": given.score})

    async def metrics(self, _request: web.Request) -> web.Response:
        """Say how this process does, for Prometheus."""
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

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


async def _follow(file: WatchedFile, name: str, _app: web.Application) -> AsyncIterator[None]:
    """Follow a file while the application runs."""
    async with followed(file, name):
        yield
