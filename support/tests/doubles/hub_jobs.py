"""Jobs of the Hub's double: they wait to be moved by the test, or really run as child processes.

With ``path`` set, a job's command runs on this machine with that ``PATH`` (its image, as it were),
in an empty folder, with nothing in its environment but what the job was given. A job that overruns
its time is killed without warning; a cancelled one is asked to stop first.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from tests.doubles.hub_spaces import hardware

if TYPE_CHECKING:
    from tests.doubles.hub import HubDouble

TERMINAL: Final = frozenset({"COMPLETED", "CANCELED", "ERROR", "DELETED"})
_LOOK_SECONDS: Final = 0.02


@dataclass
class Job:
    """One job."""

    id: str
    namespace: str
    payload: Mapping[str, Any]
    """What was posted."""
    stage: str = "SCHEDULING"
    message: str | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: datetime | None = None
    finished: datetime | None = None
    labels: dict[str, str] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    """Time and text of the lines of its log."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """What the metrics say now."""
    process: asyncio.subprocess.Process | None = None
    cancelled: bool = False
    overrun: bool = False

    def log(self, line: str) -> None:
        """Write a line."""
        self.events.append((_stamp(datetime.now(UTC)), line))

    @property
    def lines(self) -> list[str]:
        """Return the log's text."""
        return [line for _, line in self.events]

    def move(self, stage: str, message: str | None = None) -> None:
        """Bring it to a stage."""
        now = datetime.now(UTC)
        if stage == "RUNNING":
            self.started = self.started or now
        if stage in TERMINAL:
            self.finished = now
        self.message, self.stage = message, stage


class JobsRoom:
    """All jobs."""

    def __init__(self, hub: HubDouble) -> None:
        self._hub = hub
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._folder = Path(tempfile.mkdtemp(prefix="hub-jobs-"))
        self.path: str | None = None
        """Where the commands of jobs are looked for; None runs none."""
        self.environment: dict[str, str] = {}
        """What the image itself sets."""
        self.grace_seconds = 10.0
        """How long a cancelled job may take to stop."""
        self.break_logs_after: int | None = None
        """Break the next stream of a log after so many lines."""

    # -- use ---------------------------------------------------------------------------------------

    def all(self) -> list[Job]:
        """Return every job, the oldest first."""
        return list(self._jobs.values())

    def get(self, job_id: str) -> Job:
        """Return a job; KeyError without it."""
        return self._jobs[job_id]

    def folder(self, job_id: str) -> Path:
        """Return where a job runs."""
        return self._folder / job_id

    def overrun(self, job_id: str) -> None:
        """Let a running job's time be over: it is killed without warning."""
        job = self._jobs[job_id]
        job.overrun = True
        _signal(job, signal.SIGKILL)

    def close(self) -> None:
        """Kill what still runs."""
        for job in self._jobs.values():
            _signal(job, signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- routes ------------------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        """Return what the client calls."""
        all_, one = "/api/jobs/{namespace}", "/api/jobs/{namespace}/{id}"
        return [
            web.get("/api/jobs/hardware", self._hardware),
            web.post(all_, self._run),
            web.get(all_, self._list),
            web.get(one, self._inspect),
            web.get(f"{one}/logs", self._logs),
            web.get(f"{one}/metrics", self._metrics),
            web.post(f"{one}/cancel", self._cancel),
            web.put(f"{one}/labels", self._set_labels),
        ]

    def _refusal(self, request: web.Request) -> web.Response | None:
        account = self._hub.account(request)
        namespace = request.match_info["namespace"]
        if account is None:
            return self._hub.error(401, "Invalid username or password.")
        if not account.may_read(namespace):
            return self._hub.error(403, f"You cannot see the jobs of {namespace}")
        if request.method != "GET" and not account.may_write(namespace, "job.write"):
            return self._hub.error(403, f"Your token cannot run jobs for {namespace}: job.write")
        return None

    async def _hardware(self, _request: web.Request) -> web.Response:
        return web.json_response(hardware("minute"))

    async def _run(self, request: web.Request) -> web.Response:
        if (refused := self._refusal(request)) is not None:
            return refused
        payload = await request.json()
        known = {machine["name"] for machine in hardware("minute")}
        if payload["flavor"] not in known:
            return self._hub.error(400, f"Invalid flavor {payload['flavor']}")
        job_id = f"{len(self._jobs) + 1:024x}"
        job = Job(job_id, request.match_info["namespace"], payload)
        job.labels = dict(payload.get("labels") or {})
        self._jobs[job_id] = job
        if self.path is not None:
            task = asyncio.ensure_future(self._execute(job, self.path))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return web.json_response(self._shown(job))

    async def _list(self, request: web.Request) -> web.Response:
        if (refused := self._refusal(request)) is not None:
            return refused
        stages = request.query.getall("stage", [])
        labels = dict(label.split("=", 1) for label in request.query.getall("label", []))
        found = [
            self._shown(job)
            for job in reversed(self._jobs.values())
            if job.namespace == request.match_info["namespace"]
            and (not stages or job.stage in stages)
            and labels.items() <= job.labels.items()
        ]
        return web.json_response(found)

    def _shown(self, job: Job) -> dict[str, Any]:
        kept = ("command", "arguments", "environment", "flavor", "dockerImage", "spaceId")
        until = job.finished or datetime.now(UTC)
        ran = None if job.started is None else int((until - job.started).total_seconds())
        return {
            "id": job.id,
            "createdAt": _stamp(job.created),
            "startedAt": job.started and _stamp(job.started),
            "finishedAt": job.finished and _stamp(job.finished),
            "owner": {"id": f"id-{job.namespace}", "name": job.namespace, "type": "user"},
            **{key: job.payload[key] for key in kept if key in job.payload},
            "secrets": dict.fromkeys(job.payload.get("secrets") or ()),  # names only
            "timeout": job.payload.get("timeoutSeconds"),
            "labels": job.labels,
            "status": {"stage": job.stage, "message": job.message},
            "durations": {
                "schedulingSecs": 0,
                "runningSecs": ran,
                "totalSecs": int((until - job.created).total_seconds()),
            },
        }

    def _named(self, request: web.Request) -> Job | web.Response:
        if (refused := self._refusal(request)) is not None:
            return refused
        job = self._jobs.get(request.match_info["id"])
        if job is None or job.namespace != request.match_info["namespace"]:
            return self._hub.error(404, "Job not found")
        return job

    async def _inspect(self, request: web.Request) -> web.Response:
        job = self._named(request)
        return job if isinstance(job, web.Response) else web.json_response(self._shown(job))

    async def _cancel(self, request: web.Request) -> web.Response:
        job = self._named(request)
        if isinstance(job, web.Response):
            return job
        if job.stage not in TERMINAL:
            job.cancelled = True
            if job.process is None:
                job.move("CANCELED")
            else:
                task = asyncio.ensure_future(self._stop(job))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return web.json_response(self._shown(job))

    async def _stop(self, job: Job) -> None:
        process = job.process
        assert process is not None
        _signal(job, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), self.grace_seconds)
        _signal(job, signal.SIGKILL)

    async def _set_labels(self, request: web.Request) -> web.Response:
        job = self._named(request)
        if isinstance(job, web.Response):
            return job
        job.labels = (await request.json())["labels"]
        return web.json_response(self._shown(job))

    # -- streams -----------------------------------------------------------------------------------

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        job = self._named(request)
        if isinstance(job, web.Response):
            return job
        tail = request.query.get("tail")
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        shown = max(0, len(job.events) - int(tail)) if tail is not None else 0
        sent = 0
        while True:
            ended = job.stage in TERMINAL  # looked at first: its last lines are there by then
            for stamp, line in job.events[shown:]:
                if self.break_logs_after is not None and sent >= self.break_logs_after:
                    self.break_logs_after = None
                    assert request.transport is not None
                    request.transport.abort()
                    return stream
                event = json.dumps({"timestamp": stamp, "data": line})
                await stream.write(f"data: {event}\n\n".encode())
                shown, sent = shown + 1, sent + 1
            if ended:
                return stream
            await asyncio.sleep(_LOOK_SECONDS)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        job = self._named(request)
        if isinstance(job, web.Response):
            return job
        if job.stage in TERMINAL:
            return self._hub.error(406, "The job has finished")
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        while job.stage not in TERMINAL:
            if job.metrics:
                await stream.write(f"event: metric\ndata: {json.dumps(job.metrics)}\n\n".encode())
            await asyncio.sleep(_LOOK_SECONDS)
        return stream

    # -- running -----------------------------------------------------------------------------------

    async def _execute(self, job: Job, path: str) -> None:
        """Run a job's command to its end."""
        folder = self.folder(job.id)
        folder.mkdir(parents=True)
        own = {"PATH": path, "HOME": str(folder), "JOB_ID": job.id, **self.environment}
        given = {**(job.payload.get("environment") or {}), **(job.payload.get("secrets") or {})}
        try:
            job.process = await asyncio.create_subprocess_exec(
                *job.payload["command"],
                *(job.payload.get("arguments") or ()),
                env=own | given,
                cwd=folder,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=1 << 20,
                start_new_session=True,
            )
        except OSError as error:
            job.move("ERROR", f"Job failed to start: {error.strerror}")
            return
        job.move("RUNNING")
        job.log(f"===== Job started at {_stamp(datetime.now(UTC))} =====")
        seconds = job.payload.get("timeoutSeconds") or 30 * 60
        try:
            await asyncio.wait_for(self._read(job, job.process), seconds)
        except TimeoutError:
            _signal(job, signal.SIGKILL)
            await job.process.wait()
            job.move("ERROR", "Job timeout")
            return
        status = job.process.returncode
        if job.cancelled:
            job.move("CANCELED")
        elif job.overrun:
            job.move("ERROR", "Job timeout")
        elif status == 0:
            job.move("COMPLETED")
        else:
            job.move("ERROR", f"Job failed with exit code: {status}")

    async def _read(self, job: Job, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            job.log(line.decode(errors="replace").rstrip("\n"))
        await process.wait()


def _signal(job: Job, number: signal.Signals) -> None:
    if job.process is not None and job.process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.process.pid, number)


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
