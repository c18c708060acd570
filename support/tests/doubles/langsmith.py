"""LangSmith as the real ``langsmith`` client sees it: projects, data sets, runs, feedback.

It listens on loopback in a thread of its own, so that the blocking client can be called from
anywhere, and keeps every request that came.

    with LangSmith() as service:
        client = Client(api_url=service.url, api_key=KEY)
        client.create_dataset("riddles")
        service.requests[-1].path  # "/datasets"
"""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from aiohttp import web
from tests.doubles.langsmith_filters import FilterError, matches
from tests.doubles.langsmith_rows import (
    Row,
    between,
    body_of,
    cut,
    holds,
    named,
    now,
    page_of,
    parts_of,
    refusal,
    statistics,
    usage,
    v2,
)
from tests.doubles.runners import end

KEY: Final = "lsv2_pt_key"
TENANT: Final = "7e3b2c1a-0000-4000-8000-000000000001"


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    """Decompressed."""


@dataclass
class LangSmith:
    """The service; a context manager."""

    smith_db: bool = True
    """Whether runs are answered at ``/api/v2/runs/query`` too."""
    click_house: bool = True
    """Whether runs are answered at ``/runs/query``."""
    multipart_examples: bool = True
    """Whether examples are taken as multipart; else at ``/examples/bulk``."""
    failing: int | None = None
    """Status that every request but ``/info`` is answered with from now on; None for none."""
    slow_by: float = 0.0
    """Before every answer, seconds."""

    requests: list[Seen] = field(default_factory=list)
    sessions: dict[str, Row] = field(default_factory=dict)
    datasets: dict[str, Row] = field(default_factory=dict)
    examples: dict[str, Row] = field(default_factory=dict)
    runs: dict[str, Row] = field(default_factory=dict)
    feedback: dict[str, Row] = field(default_factory=dict)
    comparatives: dict[str, Row] = field(default_factory=dict)
    url: str = ""
    _by_run: dict[str | None, list[Row]] = field(default_factory=lambda: defaultdict(list))

    def __enter__(self) -> Self:
        self._session("default")  # a workspace has one project at least
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(end(self._runner), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=256 * 1024 * 1024, middlewares=[self._received])
        for prefix in ("", "/api/v1"):
            app.router.add_routes(self._routes(prefix))
        app.router.add_post("/api/v2/runs/query", self._query_v2)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, auto_decompress=False
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def _routes(self, prefix: str) -> list[web.RouteDef]:
        examples = f"{prefix}/v1/platform/datasets/{{id}}/examples"
        if prefix:
            examples = f"{prefix}/platform/datasets/{{id}}/examples"
        return [
            web.get(f"{prefix}/info", self._info),
            web.get(f"{prefix}/sessions", self._list_sessions),
            web.post(f"{prefix}/sessions", self._create_session),
            web.get(f"{prefix}/sessions/{{id}}", self._read_session),
            web.patch(f"{prefix}/sessions/{{id}}", self._update_session),
            web.delete(f"{prefix}/sessions/{{id}}", self._delete_session),
            web.get(f"{prefix}/datasets", self._list_datasets),
            web.post(f"{prefix}/datasets", self._create_dataset),
            web.post(f"{prefix}/datasets/comparative", self._create_comparative),
            web.get(f"{prefix}/datasets/{{id}}", self._read_dataset),
            web.delete(f"{prefix}/datasets/{{id}}", self._delete_dataset),
            web.post(examples, self._create_examples),
            web.post(f"{prefix}/examples/bulk", self._create_examples_in_bulk),
            web.get(f"{prefix}/examples", self._list_examples),
            web.get(f"{prefix}/examples/{{id}}", self._read_example),
            web.post(f"{prefix}/runs/multipart", self._ingest),
            web.post(f"{prefix}/runs", self._create_run),
            web.patch(f"{prefix}/runs/{{id}}", self._update_run),
            web.get(f"{prefix}/runs/{{id}}", self._read_run),
            web.post(f"{prefix}/runs/query", self._query),
            web.get(f"{prefix}/feedback", self._list_feedback),
            web.post(f"{prefix}/feedback", self._create_feedback),
        ]

    def paths(self) -> list[str]:
        """Return what was asked, as in ``POST /datasets``."""
        return [f"{seen.method} {seen.path}" for seen in self.requests]

    def sent(self) -> bytes:
        """Return all that came."""
        return b"\n".join(seen.body for seen in self.requests)

    def runs_named(self, name: str) -> list[Row]:
        """Return the runs of a name, in their order."""
        found = [run for run in self.runs.values() if run["name"] == name]
        return sorted(found, key=lambda run: str(run["start_time"]))

    @web.middleware
    async def _received(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await body_of(request)
        self.requests.append(Seen(request.method, request.path, dict(request.headers), body))
        await asyncio.sleep(self.slow_by)
        if self.failing is not None and not request.path.endswith("/info"):
            return refusal(self.failing, "Out of order")
        if request.headers.get("x-api-key") != KEY:
            return refusal(401, "Invalid token")
        try:
            answer: web.StreamResponse = await handler(request)
        except KeyError as error:
            return refusal(404, f"{error} not found")
        except FilterError as error:
            return refusal(400, f"Invalid filter: {error}")
        return answer

    async def _info(self, _request: web.Request) -> web.Response:
        limits = {"size_limit": 100, "size_limit_bytes": 20_971_520, "scale_up_qsize_trigger": 1000}
        threads = {"scale_up_nthreads_limit": 16, "scale_down_nempty_trigger": 4}
        return web.json_response(
            {
                "version": "0.16.20",
                "batch_ingest_config": {"use_multipart_endpoint": True, **limits, **threads},
                "instance_flags": {
                    "zstd_compression_enabled": True,
                    "dataset_examples_multipart_enabled": self.multipart_examples,
                    "ch_query_enabled": self.click_house,
                    "sdb_query_enabled": self.smith_db,
                },
            }
        )

    # -- projects ---------------------------------------------------------------------------------

    def _session(self, name: str, **given: Any) -> Row:
        row = {
            "id": str(uuid.uuid4()),
            "tenant_id": TENANT,
            "name": name,
            "start_time": now(),
            "end_time": None,
            "description": None,
            "extra": {},
            "reference_dataset_id": None,
            **given,
        }
        self.sessions[row["id"]] = row
        return row

    async def _list_sessions(self, request: web.Request) -> web.Response:
        query = request.query
        rows = named(self.sessions.values(), query)
        if "reference_dataset" in query:
            rows = [r for r in rows if r["reference_dataset_id"] == query["reference_dataset"]]
        if "metadata" in query:
            wanted = json.loads(query["metadata"])
            rows = [r for r in rows if wanted.items() <= (r["extra"].get("metadata") or {}).items()]
        return page_of(rows, request, self._with_statistics)

    async def _create_session(self, request: web.Request) -> web.Response:
        body = json.loads(await body_of(request))
        same = [row for row in self.sessions.values() if row["name"] == body["name"]]
        if same and "upsert" in request.query:
            return web.json_response(same[0])
        if same:
            return refusal(409, f"Session {body['name']!r} already exists")
        return web.json_response(self._session(**{**body, "extra": body.get("extra") or {}}))

    async def _read_session(self, request: web.Request) -> web.Response:
        return web.json_response(self._with_statistics(self.sessions[request.match_info["id"]]))

    async def _update_session(self, request: web.Request) -> web.Response:
        row = self.sessions[request.match_info["id"]]
        given = json.loads(await body_of(request))
        row |= {key: value for key, value in given.items() if value}
        return web.json_response(row)

    async def _delete_session(self, request: web.Request) -> web.Response:
        del self.sessions[request.match_info["id"]]
        self.runs = {
            key: run for key, run in self.runs.items() if run["session_id"] in self.sessions
        }
        return web.json_response({}, status=202)

    def _with_statistics(self, row: Row) -> Row:
        runs = [run for run in self.runs.values() if run["session_id"] == row["id"]]
        rows = [one for run in runs for one in self._feedback_of(run)]
        return {**row, "run_count": len(runs), "feedback_stats": statistics(rows)}

    # -- data sets --------------------------------------------------------------------------------

    async def _list_datasets(self, request: web.Request) -> web.Response:
        rows = named(self.datasets.values(), request.query)
        if "metadata" in request.query:
            wanted = json.loads(request.query["metadata"])
            rows = [row for row in rows if wanted.items() <= (row["metadata"] or {}).items()]
        return page_of(rows, request, self._counted)

    async def _create_dataset(self, request: web.Request) -> web.Response:
        body = json.loads(await body_of(request))
        if any(row["name"] == body["name"] for row in self.datasets.values()):
            return refusal(409, "Dataset with this name already exists.")
        row = {
            "id": body.get("id") or str(uuid.uuid4()),
            "tenant_id": TENANT,
            "name": body["name"],
            "description": body.get("description"),
            "data_type": body.get("data_type") or "kv",
            "created_at": now(),
            "modified_at": now(),
            "metadata": (body.get("extra") or {}).get("metadata"),
        }
        self.datasets[row["id"]] = row
        return web.json_response(self._counted(row))

    async def _read_dataset(self, request: web.Request) -> web.Response:
        return web.json_response(self._counted(self.datasets[request.match_info["id"]]))

    async def _delete_dataset(self, request: web.Request) -> web.Response:
        row = self.datasets.pop(request.match_info["id"])
        self.examples = {
            key: one for key, one in self.examples.items() if one["dataset_id"] != row["id"]
        }
        return web.json_response({})

    def _counted(self, row: Row) -> Row:
        examples = sum(one["dataset_id"] == row["id"] for one in self.examples.values())
        sessions = sum(s["reference_dataset_id"] == row["id"] for s in self.sessions.values())
        return {**row, "example_count": examples, "session_count": sessions}

    async def _create_examples(self, request: web.Request) -> web.Response:
        dataset = self.datasets[request.match_info["id"]]["id"]
        given: dict[str, Row] = defaultdict(dict)
        for name, value in (await parts_of(request)).items():
            example, _, key = name.partition(".")
            given[example] |= {key: value} if key else value
        return self._add_examples(dataset, [{"id": key, **row} for key, row in given.items()])

    async def _create_examples_in_bulk(self, request: web.Request) -> web.Response:
        rows = json.loads(await body_of(request))
        answer = self._add_examples(self.datasets[rows[0]["dataset_id"]]["id"], rows)
        return web.json_response([self.examples[row["id"]] for row in rows], status=answer.status)

    def _add_examples(self, dataset: str, rows: Sequence[Row]) -> web.Response:
        taken = [row["id"] for row in rows if row["id"] in self.examples]
        if taken:
            return refusal(409, f"Example {taken[0]} already exists")
        moment = now()
        for row in rows:
            split = row.get("split") or "base"
            splits = [split] if isinstance(split, str) else split
            self.examples[row["id"]] = {
                "id": row["id"],
                "dataset_id": dataset,
                "name": f"#{row['id'][:4]}",
                "inputs": row.get("inputs") or {},
                "outputs": row.get("outputs"),
                "metadata": {**(row.get("metadata") or {}), "dataset_split": splits},
                "source_run_id": row.get("source_run_id"),
                "created_at": moment,
                "modified_at": moment,
            }
        ids = [row["id"] for row in rows]
        return web.json_response({"count": len(ids), "example_ids": ids, "as_of": moment})

    async def _list_examples(self, request: web.Request) -> web.Response:
        query = request.query
        rows: Iterable[Row] = filter(matches(query.get("filter")), self.examples.values())
        if "dataset" in query:
            rows = [row for row in rows if row["dataset_id"] == query["dataset"]]
        if "id" in query:
            rows = [row for row in rows if row["id"] in query.getall("id")]
        if "splits" in query:
            wanted = set(query.getall("splits"))
            rows = [row for row in rows if wanted & set(row["metadata"]["dataset_split"])]
        if "metadata" in query:
            entries = json.loads(query["metadata"])
            rows = [row for row in rows if holds(row["metadata"], entries)]
        if query.get("as_of", "latest") != "latest":
            until = datetime.fromisoformat(query["as_of"])
            rows = [row for row in rows if datetime.fromisoformat(row["created_at"]) <= until]
        return page_of(list(rows), request)

    async def _read_example(self, request: web.Request) -> web.Response:
        return web.json_response(self.examples[request.match_info["id"]])

    async def _create_comparative(self, request: web.Request) -> web.Response:
        body = json.loads(await body_of(request))
        row = {**body, "tenant_id": TENANT, "modified_at": now()}
        row["experiments_info"] = [self.sessions[one] for one in body["experiment_ids"]]
        self.comparatives[row["id"]] = row
        return web.json_response(row)

    # -- runs and feedback ------------------------------------------------------------------------

    async def _ingest(self, request: web.Request) -> web.Response:
        rows: dict[tuple[str, str], Row] = defaultdict(dict)
        for name, value in (await parts_of(request)).items():
            operation, key, *part = name.split(".")
            rows[operation, key] |= {part[0]: value} if part else value
        for (operation, _), row in rows.items():
            if operation == "feedback":
                self._add_feedback(row)
            elif operation in {"post", "patch"}:
                self._take(row)
        return web.json_response({"message": "Runs batch ingested"}, status=202)

    async def _create_run(self, request: web.Request) -> web.Response:
        self._take(json.loads(await body_of(request)))
        return web.json_response({"message": "Run created"}, status=202)

    async def _update_run(self, request: web.Request) -> web.Response:
        self._take({"id": request.match_info["id"], **json.loads(await body_of(request))})
        return web.json_response({"message": "Run updated"}, status=202)

    async def _read_run(self, request: web.Request) -> web.Response:
        return web.json_response(self._shown(self.runs[request.match_info["id"]]))

    def _take(self, given: Row) -> None:
        """Keep a run, or what is new about it."""
        run = {
            **self.runs.get(given["id"], {}),
            **{k: v for k, v in given.items() if v is not None},
        }
        if "session_id" not in run:
            name = run.get("session_name") or "default"
            same = [row for row in self.sessions.values() if row["name"] == name]
            run["session_id"] = (same[0] if same else self._session(name))["id"]
        self.runs[run["id"]] = run

    def _shown(self, run: Row) -> Row:
        """Return a run with what the service knows about it beside."""
        ended = "success" if run.get("end_time") else "pending"
        path = [part[-36:] for part in run.get("dotted_order", "").split(".")[:-1]]
        feedback = self._feedback_of(run)
        return {
            "inputs": {},
            "outputs": None,
            "error": None,
            "tags": [],
            "extra": {},
            **usage(run),
            **run,
            "status": "error" if run.get("error") else ended,
            "parent_run_ids": path,
            "parent_run_id": path[-1] if path else None,
            "feedback_stats": statistics(feedback),
            "feedback": feedback,
        }

    def _selected(self, body: Row) -> list[Row]:
        """Return the runs that a query is about, the newest first."""
        alike = matches(body.get("filter"))
        of_trace = {run["trace_id"] for run in self._shown_all(body.get("trace_filter"), root=True)}
        of_tree = {run["trace_id"] for run in self._shown_all(body.get("tree_filter"))}
        lists = {"session_id": "session", "id": "id", "reference_example_id": "reference_example"}
        equal = {"run_type": "run_type", "trace_id": "trace", "parent_run_id": "parent_run"}
        rows = [
            run
            for run in map(self._shown, self.runs.values())
            if all(run.get(key) in body[name] for key, name in lists.items() if body.get(name))
            and all(run.get(key) == body[name] for key, name in equal.items() if body.get(name))
            and body.get("is_root") in {None, run["parent_run_id"] is None}
            and body.get("error") in {None, run["error"] is not None}
            and between(run["start_time"], body.get("start_time"), body.get("end_time"))
            and run["trace_id"] in of_trace & of_tree
            and alike(run)
        ]
        return sorted(rows, key=lambda run: str(run["start_time"]), reverse=True)

    def _shown_all(self, expression: str | None, *, root: bool = False) -> list[Row]:
        shown = map(self._shown, self.runs.values())
        alike = matches(expression)
        wanted = root and expression is not None
        return [run for run in shown if alike(run) and not (wanted and run["parent_run_id"])]

    async def _query(self, request: web.Request) -> web.Response:
        if not self.click_house:
            return refusal(501, "Use /api/v2/runs/query")
        body = json.loads(await body_of(request))
        page, following = cut(self._selected(body), body.get("cursor"), body.get("limit") or 100)
        wanted = {*(body.get("select") or []), "id", "name", "run_type", "start_time", "trace_id"}
        if not body.get("select"):
            wanted |= {key for run in page for key in run} - {"feedback"}
        rows = [{key: value for key, value in run.items() if key in wanted} for run in page]
        return web.json_response({"runs": rows, "cursors": {"next": following}})

    async def _query_v2(self, request: web.Request) -> web.Response:
        if not self.smith_db:
            return refusal(404, "Not found")
        body = json.loads(await body_of(request))
        since = body.get("min_start_time") or (datetime.now(UTC) - timedelta(days=1)).isoformat()
        older = {
            "session": body.get("project_ids"),
            "id": body.get("ids"),
            "reference_example": body.get("reference_examples"),
            "error": body.get("has_error"),
            "trace": body.get("trace_id"),
            "start_time": since,
            "end_time": body.get("max_start_time"),
            "run_type": (body.get("run_type") or "").lower() or None,
        }
        rows = self._selected({**body, **older})
        page, following = cut(rows, body.get("cursor"), body.get("page_size") or 100)
        wanted = body.get("selects") or ["ID"]
        items = [{key.lower(): v2(run)[key.lower()] for key in wanted} for run in page]
        return web.json_response({"items": items, "next_cursor": following})

    def _feedback_of(self, run: Row) -> list[Row]:
        return self._by_run[run["id"]]

    def _add_feedback(self, given: Row) -> Row:
        moment = now()
        known = {"run_id": None, "trace_id": None, "session_id": None, "score": None, "value": None}
        row = {"created_at": moment, "modified_at": moment, **known, "comment": None, **given}
        row["source"] = (row.get("feedback_source") or {}).get("type")
        if row["run_id"] in self.runs:
            row["session_id"] = row["session_id"] or self.runs[row["run_id"]]["session_id"]
        self.feedback[row["id"]] = row
        self._by_run[row["run_id"]].append(row)
        return row

    async def _create_feedback(self, request: web.Request) -> web.Response:
        return web.json_response(self._add_feedback(json.loads(await body_of(request))))

    async def _list_feedback(self, request: web.Request) -> web.Response:
        query = request.query
        keys = {"run": "run_id", "key": "key", "session": "session_id", "source": "source"}
        rows = [
            row
            for row in self.feedback.values()
            if all(row[key] in query.getall(name) for name, key in keys.items() if name in query)
            and between(row["created_at"], query.get("min_created_at"), None)
            and (query.get("has_score", "").lower() != "true" or row["score"] is not None)
        ]
        return page_of(rows, request)
