"""A routed request's streamed answer, and what is read off it as it passes."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Self

from agent_orchestrator.domain.answers import Said
from agent_orchestrator.serving.attempt import Attempt
from agent_orchestrator.serving.call import Served
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.upstream import ChunkStream
from agent_orchestrator.serving.validation import OutputFormat, StreamedAnswer
from agent_orchestrator.serving.wire import Chunk

_LONGEST = 1024 * 1024


class CollectedAnswer:
    """The message that the chunks of a stream add up to, of at most 1 Mi characters."""

    def __init__(self, limit: int = _LONGEST) -> None:
        self._room = limit
        self._choices: dict[int, dict[str, list[str]]] = {}
        self._calls: dict[tuple[int, int], dict[str, str]] = {}

    def add(self, data: Mapping[str, Any]) -> None:
        """Take in one chunk of the shape that ``wire.read_chunk`` checks."""
        for part in data.get("choices") or ():
            index, delta = part.get("index", 0), part.get("delta") or {}
            texts = self._choices.setdefault(index, {"content": [], "refusal": []})
            for key, parts in texts.items():
                if (text := delta.get(key)) and self._fits(text):
                    parts.append(text)
            for call in delta.get("tool_calls") or ():
                if isinstance(call, dict):
                    self._add_call(index, call)

    def messages(self) -> list[dict[str, Any]] | None:
        """Return the message of each choice; None when they are too long."""
        if self._room < 0:
            return None
        found = []
        for index, texts in sorted(self._choices.items()):
            calls = [c for (choice, _), c in sorted(self._calls.items()) if choice == index]
            functions = [{"type": "function", "function": call} for call in calls]
            message: dict[str, Any] = {key: "".join(parts) for key, parts in texts.items()}
            found.append({**message, "tool_calls": functions})
        return found

    def _add_call(self, choice: int, call: Mapping[str, Any]) -> None:
        place, function = call.get("index", 0), call.get("function")
        if not isinstance(place, int) or not isinstance(function, dict):
            return
        whole = self._calls.setdefault((choice, place), {"name": "", "arguments": ""})
        for key in whole:
            text = function.get(key)
            if isinstance(text, str) and self._fits(text):
                whole[key] += text

    def _fits(self, text: str) -> bool:
        self._room -= len(text)
        return self._room >= 0


class StreamAccount:
    """Settles the attempt behind a stream by what passes.

    Args:
        attempt: ended once: at the end, at a failure, or when the reader leaves.
        wanted: the form of the answer.
        on_whole: told the answer once it is whole; None spares collecting it. The answer is None
            when it is too long to be kept.
    """

    def __init__(
        self,
        attempt: Attempt,
        wanted: OutputFormat,
        on_whole: Callable[[Said | None], None] | None = None,
    ) -> None:
        self._attempt = attempt
        self._answer = StreamedAnswer(wanted)
        self._on_whole = on_whole
        self._collected = CollectedAnswer() if on_whole else None
        self.is_settled = False

    def add(self, chunk: Chunk) -> None:
        """Take in what passes."""
        if chunk.data is not None:
            self._answer.add(chunk.data)
            if self._collected is not None:
                self._collected.add(chunk.data)
        elif chunk.is_done:
            self.settle()  # before the reader sees it: readers leave at [DONE]

    def settle(self) -> None:
        """The answer is whole."""
        if self.is_settled:
            return
        self.is_settled = True
        valid = self._answer.valid
        self._attempt.answered(valid=valid, usage=self._answer.usage)
        if self._on_whole is not None and self._collected is not None:
            messages = self._collected.messages()
            self._on_whole(None if messages is None else Said(messages, valid))

    def failed(self, failure: UpstreamFailure) -> None:
        """The stream broke off."""
        self.is_settled = True
        self._attempt.failed(failure)

    def left(self) -> None:
        """The reader has left, perhaps after the last word and before [DONE]."""
        if self._answer.finished:
            self.settle()
        self._attempt.abandoned()


class TracedAccount(StreamAccount):
    """One that tells a trace how the stream ended, once, whatever it was.

    Args:
        attempt: as above.
        wanted: as above.
        on_whole: as above.
        answered: told the messages of the whole answer, None when they are too long.
        broken: told why there will be no whole answer; has no effect after ``answered``.
    """

    def __init__(
        self,
        attempt: Attempt,
        wanted: OutputFormat,
        on_whole: Callable[[Said | None], None] | None,
        answered: Callable[[Sequence[Mapping[str, Any]] | None], None],
        broken: Callable[[str], None],
    ) -> None:
        def whole(said: Said | None) -> None:
            answered(None if said is None else said.messages)
            if on_whole is not None:
                on_whole(said)

        super().__init__(attempt, wanted, whole)
        self._broken = broken

    def failed(self, failure: UpstreamFailure) -> None:
        """The stream broke off."""
        try:
            super().failed(failure)
        finally:  # a failure that is the request's own fault is raised
            self._broken(failure.message)

    def left(self) -> None:
        """The reader has left."""
        super().left()
        self._broken("The reader left before the answer was whole.")


class RoutedStream:
    """A routed request's streamed answer: an async context manager and iterator of its events.

    ``served`` is known from the start. Leaving the context early ends the upstream call.
    """

    def __init__(
        self, served: Served, chunks: ChunkStream, account: StreamAccount | None = None
    ) -> None:
        self.served = served
        self._chunks = chunks
        self._account = account
        """None when the attempts behind the answer are settled."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._account is not None:
            self._account.left()
        await self._chunks.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        account = self._account
        if account is None:
            return await anext(self._chunks)
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            account.settle()
            raise
        except UpstreamFailure as failure:
            if account.is_settled:  # it was whole at [DONE]
                raise StopAsyncIteration from failure
            account.failed(failure)
            raise
        account.add(chunk)
        return chunk


def replayed(data: Mapping[str, Any], body: Mapping[str, Any]) -> ChunkStream:
    """Return a whole completion as the stream that ``body`` asks for."""
    options = body.get("stream_options")
    wants_usage = isinstance(options, dict) and options.get("include_usage") is True
    head = {key: data[key] for key in ("id", "created", "model") if key in data}
    head["object"] = "chat.completion.chunk"
    chunks = []
    for choice in data["choices"]:
        index = choice.get("index", 0)
        reason = choice.get("finish_reason") or "stop"
        first = {"index": index, "delta": _delta(choice["message"]), "finish_reason": None}
        last = {"index": index, "delta": {}, "finish_reason": reason}
        chunks += [{**head, "choices": [first]}, {**head, "choices": [last]}]
    if wants_usage:
        chunks.append({**head, "choices": [], "usage": data.get("usage")})
    events = [Chunk(b"data: " + json.dumps(c).encode() + b"\n\n", c) for c in chunks]
    return ChunkStream([*events, Chunk(b"data: [DONE]\n\n", None, is_done=True)], _nothing())


def _delta(message: Mapping[str, Any]) -> dict[str, Any]:
    delta = {"role": "assistant", **{k: v for k, v in message.items() if v is not None}}
    if calls := delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": place, **call} for place, call in enumerate(calls)]
    return delta


async def _nothing() -> AsyncGenerator[Chunk, None]:
    return
    yield  # makes it a generator
