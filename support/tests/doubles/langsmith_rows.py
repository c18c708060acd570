"""How the double of LangSmith reads requests and shows its rows: pages, filters by name, sums."""

from __future__ import annotations

import io
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import zstandard
from aiohttp import web

_NAME: Final = re.compile(rb'name="([^"]+)"')

Row = dict[str, Any]


async def body_of(request: web.Request) -> bytes:
    """Return a request's body, decompressed."""
    body = await request.read()
    if request.headers.get("Content-Encoding") != "zstd":
        return body
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body)).read()


def refusal(status: int, detail: str) -> web.Response:
    """Return the service's way to say no."""
    return web.json_response({"detail": detail}, status=status)


def now() -> str:
    """Return the time of something that happens now."""
    time.sleep(1e-6)  # so that what comes later also looks later
    return datetime.now(UTC).isoformat()


async def parts_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON of a multipart body's parts by their names; attachments are left out."""
    boundary = request.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
    found = {}
    for part in (await body_of(request)).split(b"--" + boundary)[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if name is not None and b"application/json" in head:
            found[name[1].decode()] = json.loads(body)
    return found


def named(rows: Iterable[Row], query: Any) -> list[Row]:
    """Return the rows that a list's usual parameters leave."""
    return [
        row
        for row in rows
        if ("id" not in query or row["id"] in query.getall("id"))
        and query.get("name") in {None, row["name"]}
        and query.get("name_contains", "").lower() in row["name"].lower()
    ]


def page_of(
    rows: Sequence[Row], request: web.Request, shown: Callable[[Row], Row] = dict
) -> web.Response:
    """Answer with the page that is asked for, each row as ``shown``."""
    begin = int(request.query.get("offset", 0))
    page = rows[begin : begin + int(request.query.get("limit", 100))]
    return web.json_response([shown(row) for row in page])


def cut(rows: Sequence[Row], cursor: str | None, size: int) -> tuple[Sequence[Row], str | None]:
    """Return a page and the cursor of the next."""
    begin = int(cursor or 0)
    end = begin + min(size, 100)
    return rows[begin:end], str(end) if end < len(rows) else None


def holds(metadata: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether metadata hold what is wanted."""
    return all(metadata.get(key) == value for key, value in wanted.items())


def between(moment: str, since: str | None, until: str | None) -> bool:
    """Return whether a moment lies between two, both included; None for no bound."""
    at = _utc(moment)
    return (since is None or at >= _utc(since)) and (until is None or at <= _utc(until))


def _utc(moment: str) -> datetime:
    """Return a moment; one without a zone is in UTC."""
    read = datetime.fromisoformat(moment)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def statistics(rows: Iterable[Row]) -> dict[str, Row]:
    """Return number and mean of the scores by key."""
    scores: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        scores[row["key"]] += [] if row["score"] is None else [float(row["score"])]
    return {
        key: {"n": len(values), "avg": sum(values) / len(values) if values else None}
        for key, values in scores.items()
    }


def usage(run: Row) -> Row:
    """Return the tokens of a model call as the service counts them: by its usage metadata."""
    places = (run.get("outputs") or {}, (run.get("extra") or {}).get("metadata") or {})
    usage: Row = next((p["usage_metadata"] for p in places if "usage_metadata" in p), {})
    if run["run_type"] != "llm" or not usage:
        return {}
    return {"prompt_tokens": usage["input_tokens"], "completion_tokens": usage["output_tokens"]}


def v2(run: Row) -> dict[str, Any]:
    """Return a run as the newer interface shows it; what it lacks is None."""
    shown = {
        **run,
        "run_type": run["run_type"].upper(),
        "status": run["status"].upper(),
        "project_id": run["session_id"],
        "is_root": run["parent_run_id"] is None,
        "metadata": run["extra"].get("metadata") or {},
    }
    return defaultdict(lambda: None, shown)
