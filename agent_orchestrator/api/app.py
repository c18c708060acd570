"""The application: which doors there are, and what stands before all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from agent_orchestrator import __version__
from agent_orchestrator.api import (
    approvals,
    assistants,
    chat,
    differences,
    document,
    feedback,
    gateway,
    health,
    jobs,
    mcp,
    modelops,
    overview,
    page,
    problems,
    registry,
    rollouts,
    runs,
    threads,
)
from agent_orchestrator.api.idempotency import REPLAYED
from agent_orchestrator.api.limits import BODY_BYTES, SecurityHeaders
from agent_orchestrator.api.services import Services

_DOORS = (
    *(chat, threads, runs, assistants),
    *(approvals, jobs, differences, rollouts, registry, feedback, overview, gateway),
)
_DESCRIPTION = """\
The orchestrator over HTTP. Every request but `/health`, `/ready` and this document bears an access
token, whose role says what it may do: a *viewer* reads, an *operator* also asks for changes, an
*approver* reads and answers approvals, an *admin* may do everything.

Errors are problem details (RFC 9457): `detail` is the message, `remedy` what to do next.
"""


def create_app(
    services: Services | None,
    *,
    origins: Sequence[str] = (),
    hosts: Sequence[str] = (),
    page_files: Path = page.FILES,
) -> FastAPI:
    """Return the API as an application that follows the access tokens while it runs.

    Args:
        services: what the handlers work with; None for the document alone.
        origins: of web pages that may read the answers; none may without.
        hosts: names by which the server may be asked, any when empty. Where no token is needed,
            this keeps a web page from asking in its visitor's name (DNS rebinding).
        page_files: the web page at ``/``, as far as it is built.
    """
    app = FastAPI(
        title="code/chef",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,  # its page is fetched from elsewhere
        redoc_url=None,
        responses=problems.DOCUMENTED,
    )
    app.state.services = services
    problems.install(app)
    app.include_router(health.router)
    app.include_router(page.router(page_files))
    app.include_router(modelops.router())
    app.router.routes.append(mcp.ROUTE)
    for door in _DOORS:
        app.include_router(door.router)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=BODY_BYTES)
    if hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "DELETE", "PATCH", "PUT"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID", "Idempotency-Key"],
            expose_headers=["Retry-After", "X-Thread-Id", REPLAYED],
        )
    app.add_middleware(problems.OneForm)
    app.add_middleware(SecurityHeaders)
    document.write(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    watching = [
        asyncio.create_task(services.access.tokens.watch(), name="access tokens"),
        asyncio.create_task(services.news.watch(), name="news"),
        asyncio.create_task(services.answers.care(), name="kept answers"),
    ]
    try:
        async with mcp.opened(app):
            yield
    finally:
        for task in watching:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
