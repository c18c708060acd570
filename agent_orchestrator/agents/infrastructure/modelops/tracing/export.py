"""Spans on their way to LangSmith: queued, redacted and sent by a thread of their own.

Whoever makes a span only appends to a queue; the thread does everything else, also the import of
the LangSmith SDK. What LangSmith does not take in time is dropped and counted, never waited for.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from agent_orchestrator.agents.infrastructure.modelops.tracing.redaction import Redaction
from agent_orchestrator.domain.outcomes import Feedback
from agent_orchestrator.serving.tracing import Span, Step, request_trace_id

if TYPE_CHECKING:
    from langsmith import Client

log = logging.getLogger(__name__)

_BATCH: Final = 50
_PAUSE: Final = 0.5
_RETRY: Final = 30.0
_TIMEOUT_MS: Final = (3_000, 10_000)
_THREAD: Final = "chef-traces"
SENT_BY: Final = "sent_by"
"""Key of the feedback's source that marks what we sent: it must not come back as somebody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceDestination:
    """Where traces go."""

    endpoint: str
    key: str
    project: str
    sample: float = 1.0
    """Share of the traces that are sent, 0..1; a trace is sent whole or not at all."""


class TraceExport:
    """A ``SpanSink`` that sends to LangSmith from a daemon thread, started by the first span.

    Args:
        destination: where to.
        redaction: makes payloads fit to be sent.
        most: spans that may wait; while LangSmith is away the oldest are dropped.
    """

    def __init__(
        self, destination: TraceDestination, redaction: Redaction, *, most: int = 2_000
    ) -> None:
        self._destination = destination
        self._redaction = redaction
        self._waiting: deque[Span] = deque(maxlen=most)
        self._judged: deque[Feedback] = deque(maxlen=most)
        self._project: uuid.UUID | None = None
        self._lock = threading.Lock()
        self._more = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._closed = False
        self._thread: threading.Thread | None = None
        self.dropped = 0
        """Spans that were not sent: too many waited, or LangSmith did not take them."""

    def take(self, spans: Sequence[Span]) -> None:
        """Queue the spans of one trace; see ``SpanSink``."""
        if self._closed or not _sampled(spans[0].path[0].id, self._destination.sample):
            return
        with self._lock:
            room = (self._waiting.maxlen or 0) - len(self._waiting)
            self.dropped += max(0, len(spans) - room)
            self._waiting.extend(spans)
            self._wake()

    def judge(self, feedback: Feedback) -> None:
        """Queue a judgement on a traced request; see ``SpanSink``."""
        trace = request_trace_id(feedback.request_id)
        if self._closed or not _sampled(trace, self._destination.sample):
            return
        with self._lock:
            self._judged.append(feedback)
            self._wake()

    def _wake(self) -> None:
        """Let the thread work; under the lock."""
        self._idle.clear()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=_THREAD, daemon=True)
            self._thread.start()
        self._more.set()

    def flush(self, seconds: float) -> bool:
        """Wait until nothing waits any more, for at most so long; return whether that is so."""
        return self._idle.wait(seconds)

    def close(self, seconds: float) -> None:
        """Send what waits, for at most so long; nothing is taken any more."""
        self._closed = True
        self._more.set()
        self.flush(seconds)

    # -- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        faults: list[Exception] = []
        client = self._client(faults.append)
        while True:
            self._more.wait()
            self._more.clear()
            while batch := self._next():
                try:
                    client.multipart_ingest(create=[self._run_of(span) for span in batch])
                except Exception as error:  # noqa: BLE001 - the thread's boundary: counted, said
                    faults.append(error)
                if faults:  # what the client swallows, it says to its callback
                    self._failed(len(batch), faults[-1])
                    faults.clear()
            self._send_judgements(client)
            if self._settle():
                client.close(timeout=0)
                return
            time.sleep(_PAUSE)  # so that spans go in batches

    def _settle(self) -> bool:
        """Say that nothing waits, if so; return whether nothing more will come either."""
        with self._lock:
            done = not self._waiting and not self._judged
            if done:
                self._idle.set()
            return self._closed and done

    def _client(self, on_error: Callable[[Exception], None]) -> Client:
        from langsmith import Client  # noqa: PLC0415 - not before there is something to send

        logging.getLogger("langsmith.client").addFilter(_not_ours)
        return Client(
            api_url=self._destination.endpoint,
            api_key=self._destination.key,
            timeout_ms=_TIMEOUT_MS,
            auto_batch_tracing=False,  # this thread is the background
            tracing_mode="langsmith",
            tracing_sampling_rate=1.0,  # sampled above
            omit_traced_runtime_info=True,
            tracing_error_callback=on_error,
        )

    def _next(self) -> list[Span]:
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]

    def _send_judgements(self, client: Client) -> None:
        """Send what was judged, after the traces that it is about."""
        while self._judged:
            given = self._judged.popleft()
            try:
                self._send_judgement(client, given)
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(1, error)

    def _send_judgement(self, client: Client, given: Feedback) -> None:
        if self._project is None:
            self._project = client.read_project(project_name=self._destination.project).id
        client.create_feedback(
            run_id=request_trace_id(given.request_id),
            key=given.kind,
            score=given.score,
            source_info={
                SENT_BY: "code-chef",
                "source": given.source,
                **({"arm": given.arm} if given.arm else {}),
            },
            session_id=self._project,
            stop_after_attempt=2,
        )

    def _failed(self, number: int, fault: Exception) -> None:
        """Count what was not taken and leave LangSmith alone for a while."""
        self.dropped += number
        said = " ".join(str(fault).split())[:200]
        log.warning("LangSmith did not take %d spans (%d lost): %s", number, self.dropped, said)
        deadline = time.monotonic() + _RETRY
        while not self._closed and time.monotonic() < deadline:
            time.sleep(_PAUSE)

    def _run_of(self, span: Span) -> dict[str, Any]:
        """Return the run as LangSmith's interface takes it."""
        here = span.path[-1]
        metadata = {key: value for key, value in span.metadata.items() if value is not None}
        return {
            "id": here.id,
            "trace_id": span.path[0].id,
            "parent_run_id": span.path[-2].id if len(span.path) > 1 else None,
            "dotted_order": ".".join(_dotted(step) for step in span.path),
            "session_name": span.project or self._destination.project,
            "name": span.name,
            "run_type": span.kind,
            "start_time": _utc(here.begun),
            "end_time": _utc(max(span.ended, here.begun)),
            "inputs": self._redaction.payload(span.inputs),
            "outputs": self._redaction.payload(span.outputs) if span.outputs is not None else None,
            "error": self._redaction.text(span.error) if span.error is not None else None,
            "tags": [f"{key}:{metadata[key]}" for key in _TAGS if metadata.get(key)],
            "extra": {"metadata": self._redaction.payload(_with_usage(metadata))},
        }


_TAGS: Final = ("agent", "model_version", "arm", "rollout_id")


def _with_usage(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata with model and tokens where LangSmith looks for them."""
    found = dict(metadata)
    tokens = found.pop("prompt_tokens", None), found.pop("completion_tokens", None)
    if tokens[0] is not None and tokens[1] is not None:
        names = ("input_tokens", "output_tokens", "total_tokens")
        found["usage_metadata"] = dict(zip(names, (*tokens, sum(tokens)), strict=True))
    if "model" in found:
        found["ls_model_name"] = found["model"]
    return found


def _not_ours(record: logging.LogRecord) -> bool:
    """Leave out what the SDK logs in our thread: we say it ourselves, in one line."""
    return record.threadName != _THREAD


def _sampled(trace: uuid.UUID, share: float) -> bool:
    """Return whether a trace is among the sample; by its id, so that all its parts agree."""
    return share >= 1.0 or (trace.int & 0xFFFFFFFF) / 2**32 < share


def _dotted(step: Step) -> str:
    return f"{_utc(step.begun):%Y%m%dT%H%M%S%fZ}{step.id}"


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
