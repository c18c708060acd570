"""How the gateway writes its answers: a stream as it comes, headers, and refusals of its own."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from aiohttp import web

from agent_orchestrator.serving.clients import Client
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.openai_errors import error_event, error_response
from agent_orchestrator.serving.router import RoutedStream, Served

log = logging.getLogger(__name__)

SSE_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # a proxy in front must not collect the stream
}


async def pass_on(stream: RoutedStream, response: web.StreamResponse, write_seconds: float) -> None:
    """Write every event as it comes; an error event for a stream that breaks off.

    While the client takes nothing, nothing more is read from the upstream: memory stays bounded.
    Raises ConnectionResetError when it takes nothing for ``write_seconds``.
    """
    write = partial(_write, response, write_seconds)
    try:
        async for chunk in stream:
            await write(chunk.raw)
    except UpstreamFailure as failure:
        log.warning("Request %s: %s", stream.served.request_id, failure.message)
        await write(error_event(failure))
    await response.write_eof()


async def _write(response: web.StreamResponse, seconds: float, data: bytes) -> None:
    try:
        async with asyncio.timeout(seconds):
            await response.write(data)
    except TimeoutError:
        response.force_close()
        raise ConnectionResetError(f"The client took nothing for {seconds:g} s.") from None


def arm_headers(served: Served) -> dict[str, str]:
    """Return the headers that say who answered."""
    headers = {"X-Chef-Arm": served.arm.name}
    if served.arm.version is not None:
        headers["X-Chef-Version"] = served.arm.version
    if served.cached:
        headers["X-Chef-Cache"] = "hit"
    return headers


def unauthorised() -> web.Response:
    """Return the answer to a request without a valid key."""
    response = error_response(
        401,
        "The bearer token is missing or wrong.",
        "authentication_error",
        "invalid_api_key",
        remedy="Send 'Authorization: Bearer <token or client key>'.",
    )
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def forbidden(client: Client) -> web.Response:
    """Return the answer to a client whose key is for something else."""
    return error_response(
        403,
        f"The key of {client.name!r} is for {client.scope}.",
        "permission_error",
        "insufficient_scope",
        remedy="Use one with the scope that this path needs: chef gateway keys add --scope …",
    )


def http_error(error: web.HTTPException) -> web.Response:
    """Return an error of the HTTP layer (no such path, method, body too large) in OpenAI's form."""
    code = error.reason.lower().replace(" ", "_")
    return error_response(error.status, f"{error.reason}.", "invalid_request_error", code)
