"""What ``/metrics`` says, in the text format of Prometheus.

Labels have few values: agents, arms and clients that are configured, and fixed words. Request ids,
tasks, models and whatever a stranger may choose never become labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from agent_orchestrator.domain.outcomes import Feedback, Outcome
from agent_orchestrator.serving.attempt import Recorder

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
Sample = tuple[tuple[str, ...], float]
"""Values of the labels, and the value."""

_LATENCIES = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_ADDED = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "chef_gateway_requests",
            "Requests answered, by client and status class (0xx: the client left).",
            ("client", "status"),
            registry=self._registry,
        )
        self._attempts = Counter(
            "chef_gateway_attempts",
            "Attempts on an arm, by what became of them. A serve attempt that failed was followed "
            "by another arm's, if one was left.",
            ("agent", "arm", "role", "result"),
            registry=self._registry,
        )
        self._latency = Histogram(
            "chef_gateway_attempt_seconds",
            "Answered attempts, from sending to the last byte.",
            ("agent", "arm"),
            buckets=_LATENCIES,
            registry=self._registry,
        )
        self._added = Histogram(
            "chef_gateway_added_seconds",
            "Time of whole (not streamed) answers spent in the gateway beside the attempts.",
            buckets=_ADDED,
            registry=self._registry,
        )

    def answered(self, client: str, status: int | None) -> None:
        """Count a request; ``status`` None when the client left before there was one."""
        self._requests.labels(client, f"{(status or 0) // 100}xx").inc()

    def added(self, seconds: float) -> None:
        """Note what the gateway itself took for a whole answer."""
        self._added.observe(seconds)

    def attempted(self, outcome: Outcome) -> None:
        """Count an attempt."""
        result = outcome.error or ("invalid" if outcome.valid_output is False else "ok")
        agent, arm = outcome.agent, outcome.arm
        self._attempts.labels(agent, arm, outcome.role, result).inc()
        if outcome.error is None:
            self._latency.labels(agent, arm).observe(outcome.latency_ms / 1000)

    def gauge(
        self, name: str, help_text: str, labels: tuple[str, ...], read: Callable[[], list[Sample]]
    ) -> None:
        """Add what is read whenever somebody asks."""
        self._registry.register(_Read(GaugeMetricFamily, name, help_text, labels, read))

    def counter(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Add a number that only grows and is counted elsewhere."""
        family = _Read(CounterMetricFamily, name, help_text, (), lambda: [((), read())])
        self._registry.register(family)

    def text(self) -> bytes:
        """Return all metrics."""
        return generate_latest(self._registry)


class _Read(Collector):
    """A metric that is read when somebody asks."""

    def __init__(
        self,
        family: type[GaugeMetricFamily | CounterMetricFamily],
        name: str,
        help_text: str,
        labels: tuple[str, ...],
        read: Callable[[], list[Sample]],
    ) -> None:
        self._family = family
        self._describe = (name, help_text)
        self._labels = labels
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Read it."""
        family = self._family(*self._describe, labels=self._labels)
        for values, value in self._read():
            family.add_metric(values, value)
        yield family


class Measured:
    """A recorder that counts what passes through it."""

    def __init__(self, recorder: Recorder, metrics: Metrics) -> None:
        self._recorder = recorder
        self._metrics = metrics

    def record(self, outcome: Outcome) -> None:
        """Count ``outcome`` and hand it on."""
        self._metrics.attempted(outcome)
        self._recorder.record(outcome)

    def record_feedback(self, feedback: Feedback) -> None:
        """Hand a judgement on."""
        self._recorder.record_feedback(feedback)
