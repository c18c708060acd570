"""Answers kept for requests that come again. Off unless configured.

Kept is what the same model would say again: an answer that is whole (it ended by itself), valid and
not sampled (``temperature`` 0), unless the client or the configuration allows others. The key is
the model and everything in the request that can change the answer. An agent with a rollout is
served without the cache: a hit says nothing about an arm, and warm and cold arms would bend the
split that verdicts check. A hit leaves no outcome, so feedback on it finds none.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.serving.completion import Completion
from agent_orchestrator.serving.upstream import Answer
from agent_orchestrator.serving.validation import Usage
from agent_orchestrator.serving.wire import read_completion

CacheUse = Literal["auto", "allow", "off"]
"""What a client wants: only unsampled answers, sampled ones too, or none."""

_OF_NO_ACCOUNT = frozenset(
    {"metadata", "model", "prompt_cache_key", "safety_identifier", "store", "stream"}
    | {"stream_options", "user"}
)
"""Fields of a request that do not change what is said."""
_ENDED = {"stop", "tool_calls", "function_call"}
_OVERHEAD = 512
"""About what an entry costs besides its answer, bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """What is kept, and for how long."""

    most_bytes: int
    most_entries: int = 10_000
    seconds: float = 3600.0
    sampled: bool = False
    """Whether sampled answers are kept without the client asking for it."""


@dataclass(frozen=True, slots=True)
class _Entry:
    raw: bytes
    usage: Usage
    until: float


class ResponseCache:
    """Answers by their request, the least recently used dropped first.

    Args:
        policy: what is kept.
        timer: monotonic seconds.
    """

    def __init__(self, policy: CachePolicy, timer: Callable[[], float]) -> None:
        self._policy = policy
        self._timer = timer
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._bytes = 0
        self.hits = 0
        self.misses = 0

    @property
    def size(self) -> int:
        """What the entries take, in bytes, roughly."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def key(self, place: Endpoint, body: Mapping[str, Any], use: CacheUse) -> bytes | None:
        """Return the key of a request to a model; None when its answer is not to be kept."""
        if use == "off":
            return None
        if use == "auto" and not self._policy.sampled and body.get("temperature") != 0:
            return None
        said = {name: value for name, value in body.items() if name not in _OF_NO_ACCOUNT}
        return hashlib.sha256(
            _canonical([place.model, place.provider, place.endpoints, said])
        ).digest()

    def get(self, key: bytes, model: str) -> Completion | None:
        """Return the answer that is kept under ``key``."""
        begun = self._timer()
        entry = self._entries.get(key)
        if entry is not None and entry.until <= begun:
            self._drop(key)
            entry = None
        if entry is None:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        answer = Answer(entry.raw, read_completion(entry.raw))
        return Completion(model, answer, (self._timer() - begun) * 1000, True, entry.usage)

    def put(self, key: bytes, completion: Completion) -> None:
        """Keep an answer if it is one to be kept, and drop what has no room any more."""
        size = len(completion.answer.raw) + _OVERHEAD
        if not _is_worth_keeping(completion) or size > self._policy.most_bytes:
            return
        self._drop(key)
        until = self._timer() + self._policy.seconds
        self._entries[key] = _Entry(completion.answer.raw, completion.usage, until)
        self._bytes += size
        while self._bytes > self._policy.most_bytes or len(self) > self._policy.most_entries:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry.raw) + _OVERHEAD


def _is_worth_keeping(completion: Completion) -> bool:
    choices = completion.answer.data["choices"]
    return completion.valid_output and all(c.get("finish_reason") in _ENDED for c in choices)


def _canonical(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # a lone surrogate, an integer beyond 64 bits
        return json.dumps(value, sort_keys=True).encode()
