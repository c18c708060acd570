"""The routes: each parses, asks the queue in a thread, and answers in JSON."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Literal

from aiohttp import hdrs, web
from pydantic import ValidationError

from agent_orchestrator.agents.infrastructure.modelops.backends.space_protocol import (
    ARTIFACT_FILES,
    HEADER,
    HEALTH,
    PROTOCOL,
    SPACE_JOB,
    SPACE_JOBS,
    TRAIN_REQUEST,
    ArtifactFile,
    Health,
    is_artifact_path,
)
from agent_orchestrator.errors import (
    ChefError,
    ConfigurationError,
    InputError,
    NotFoundError,
    StorageError,
    UnavailableError,
)
from agent_orchestrator.training_space.checkup import Checkup
from agent_orchestrator.training_space.queue import LEAST_DISK_BYTES, Queue

log = logging.getLogger("chef.space")

_STATUS: Final[tuple[tuple[type[ChefError], int], ...]] = (
    (NotFoundError, 404),
    (InputError, 422),
    (StorageError, 507),
    (UnavailableError, 503),
    (ConfigurationError, 503),
)
_OPEN: Final = frozenset({"/", "/health"})
_MOST_LINES: Final = 10_000
_BODY_SECONDS: Final = 600.0
"""Within which an upload must have come."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SpaceApp:
    """One Space's routes."""

    def __init__(
        self, queue: Queue, checkup: Checkup, *, token: str | None, upload_bytes: int
    ) -> None:
        """Without a ``token`` everybody may do everything."""
        self._queue = queue
        self._checkup = checkup
        self._token = token
        self._upload_bytes = upload_bytes
        self.submitted = asyncio.Event()
        """Set when a job has come, so that it need not wait for the next look."""

    def application(self) -> web.Application:
        """Return what aiohttp serves."""
        app = web.Application(
            middlewares=[_named, _told, self._allowed], client_max_size=self._upload_bytes
        )
        app.add_routes(
            [
                web.get("/", self._health),
                web.get("/health", self._health),
                web.post("/train", self._train),
                web.get("/jobs", self._jobs),
                web.get("/status/{job_id}", self._status),
                web.get("/logs/{job_id}", self._logs),
                web.post("/cancel/{job_id}", self._cancel),
                web.post("/resume/{job_id}", self._resume),
                web.get("/artifacts/{job_id}", self._artifacts),
                web.get("/artifacts/{job_id}/{path:.+}", self._artifact),
                web.delete("/artifacts/{job_id}", self._discard),
                web.get("/tensorboard/{job_id}/{path:.+}", self._events),
            ]
        )
        return app

    @web.middleware
    async def _allowed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in _OPEN and not self._knows(request):
            return _refused(
                401,
                "Unauthorized",
                "The bearer token is missing or wrong.",
                "Set MODELOPS_SPACE_TOKEN to the token that the Space was given.",
            )
        return await handler(request)

    def _knows(self, request: web.Request) -> bool:
        if self._token is None:
            return True
        scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(), self._token.encode())
        return scheme.lower() == "bearer" and same

    async def _health(self, request: web.Request) -> web.Response:
        health = await asyncio.to_thread(self.health)
        if not self._knows(request):
            health = Health(status=health.status)
        return _json(HEALTH.dump_json(health), 503 if health.status == "degraded" else 200)

    def health(self) -> Health:
        """Return what the Space can do now."""
        free = self._queue.disk_free_bytes()
        reasons = [self._checkup.reason] if self._checkup.reason else []
        if free < LEAST_DISK_BYTES:
            reasons.append(f"{free / 1024**2:.0f} MiB of disk are left.")
        well: Literal["ok", "checking"] = "ok" if self._checkup.done else "checking"
        return Health(
            status="degraded" if reasons else well,
            reasons=reasons,
            engine=self._checkup.engine,
            gpus=self._checkup.gpus,
            disk_free_bytes=free,
            running=self._queue.running_ids(),
            waiting=self._queue.waiting_ids(),
        )

    async def _train(self, request: web.Request) -> web.Response:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await request.read()
        asked = await asyncio.to_thread(TRAIN_REQUEST.validate_json, body)
        if self._checkup.reason:
            raise UnavailableError(
                self._checkup.reason, remedy="Mend the Space; GET /health says when it is well."
            )
        new = await asyncio.to_thread(self._queue.submit, asked.job_id, asked.spec)
        if new:
            log.info("Job %s: %d examples came.", asked.job_id, len(asked.spec.rows))
            self.submitted.set()
        job = await asyncio.to_thread(self._queue.job, asked.job_id)
        return _json(SPACE_JOB.dump_json(job), 202 if new else 200)

    async def _jobs(self, _request: web.Request) -> web.Response:
        jobs = await asyncio.to_thread(self._queue.jobs)
        return _json(b'{"jobs":' + SPACE_JOBS.dump_json(jobs) + b"}")

    async def _status(self, request: web.Request) -> web.Response:
        job = await asyncio.to_thread(self._queue.job, request.match_info["job_id"])
        return _json(SPACE_JOB.dump_json(job))

    async def _logs(self, request: web.Request) -> web.Response:
        given = request.query.get("tail", "100")
        tail = int(given) if given.isascii() and given.isdigit() else None
        if tail is None or tail > _MOST_LINES:
            raise InputError(f"tail = {given!r}.", remedy=f"Ask for 0 to {_MOST_LINES} lines.")
        lines = await asyncio.to_thread(self._queue.logs, request.match_info["job_id"], tail)
        return web.json_response({"lines": lines})

    async def _cancel(self, request: web.Request) -> web.Response:
        job = await asyncio.to_thread(self._queue.cancel, request.match_info["job_id"])
        return _json(SPACE_JOB.dump_json(job))

    async def _resume(self, request: web.Request) -> web.Response:
        job = await asyncio.to_thread(self._queue.resume, request.match_info["job_id"])
        self.submitted.set()
        return _json(SPACE_JOB.dump_json(job))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        asked = request.match_info
        return web.FileResponse(
            await asyncio.to_thread(self._queue.event_file, asked["job_id"], asked["path"])
        )

    async def _artifacts(self, request: web.Request) -> web.Response:
        _, files = await asyncio.to_thread(self._finished, request.match_info["job_id"])
        return _json(b'{"files":' + ARTIFACT_FILES.dump_json(files) + b"}")

    async def _artifact(self, request: web.Request) -> web.StreamResponse:
        wanted = request.match_info["path"]
        folder, files = await asyncio.to_thread(self._finished, request.match_info["job_id"])
        path = folder / wanted
        listed = any(file.path == wanted for file in files)
        if not listed or not path.resolve().is_relative_to(folder.resolve()):
            raise NotFoundError(f"The model has no file {wanted!r}.", remedy="See GET /artifacts.")
        return web.FileResponse(path)

    async def _discard(self, request: web.Request) -> web.Response:
        await asyncio.to_thread(self._queue.discard, request.match_info["job_id"])
        return _json(b'{"files":[]}')

    def _finished(self, job_id: str) -> tuple[Path, list[ArtifactFile]]:
        """Return where a completed job's model lies and its files. Raises NotFoundError."""
        manifest = self._queue.job(job_id).progress.result
        if manifest is None:
            raise NotFoundError(f"Job {job_id!r} has made no model.", remedy="Wait for its end.")
        folder = Path(manifest["output_dir"])
        if not folder.is_dir():
            raise NotFoundError(
                f"The model of job {job_id!r} was removed.", remedy="Train it again."
            )
        files = ARTIFACT_FILES.validate_python(manifest["files"])
        return folder, [f for f in files if is_artifact_path(f.path)]


@web.middleware
async def _named(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say in every answer that it is the app's own."""
    try:
        response = await handler(request)
    except web.HTTPException as error:  # of aiohttp itself: no such route, too large …
        response = _refused(error.status, type(error).__name__, error.reason, "")
    response.headers[HEADER] = PROTOCOL
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@web.middleware
async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn our errors into answers."""
    try:
        return await handler(request)
    except ChefError as error:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
        return _refused(status, type(error).__name__, error.message, error.remedy)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        return _refused(422, "InputError", f"{where}: {first['msg']}.", "Correct it.")
    except TimeoutError:
        return _refused(408, "UnavailableError", "The request did not come in time.", "Try again.")


def _refused(status: int, kind: str, message: str, remedy: str) -> web.Response:
    return web.json_response({"error": kind, "message": message, "remedy": remedy}, status=status)


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")
