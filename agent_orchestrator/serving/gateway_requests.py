"""Requests as the gateway's clients write them, read and checked."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent_orchestrator.domain.outcomes import Feedback
from agent_orchestrator.serving import json_bytes
from agent_orchestrator.serving.cache import CacheUse
from agent_orchestrator.serving.openai_errors import BadRequestError

MODEL_PREFIX = "agent/"
REQUEST_ID = web.RequestKey("request_id", str)
_LONGEST_TASK_ID = 256


class _FeedbackRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: Annotated[str, Field(min_length=1, max_length=100)]
    score: Annotated[float, Field(ge=0, le=1)] | None = None
    thumbs: Literal["up", "down"] | None = None
    source: Annotated[str, Field(min_length=1, max_length=100)] = "user"


@dataclass(frozen=True, slots=True)
class Asked:
    """A chat request, read."""

    agent: str
    body: Mapping[str, Any]
    task_id: str
    streams: bool
    timeout: float | None
    """Most seconds that the client waits for the answer, or a stream's first byte."""
    cache: CacheUse


async def read_object(request: web.Request, seconds: float) -> dict[str, Any]:
    """Return the body. Raises BadRequestError, also when it has not come within ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            raw = await request.read()
    except TimeoutError:
        raise BadRequestError(
            f"The request body did not come within {seconds:g} s.",
            status=408,
            code="request_timeout",
        ) from None
    try:
        body = json_bytes.loads(raw, allow_nan=False)
    except (ValueError, RecursionError):
        raise BadRequestError("The request body is not JSON.") from None
    if not isinstance(body, dict):
        raise BadRequestError("The request body is not a JSON object.")
    return body


def read_chat(request: web.Request, body: dict[str, Any]) -> Asked:
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
    return Asked(
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


def read_feedback(body: dict[str, Any]) -> Feedback:
    """Check a judgement. Raises BadRequestError that names the field."""
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
