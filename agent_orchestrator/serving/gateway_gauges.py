"""What a gateway knows of itself, as metrics that are read when somebody asks."""

from __future__ import annotations

import time
from typing import Protocol

from agent_orchestrator.domain.routing import RoutingTable
from agent_orchestrator.errors import ChefError
from agent_orchestrator.serving.admission import Admission
from agent_orchestrator.serving.metrics import Metrics, Sample
from agent_orchestrator.serving.outcome_log import OutcomeLog
from agent_orchestrator.serving.router import Router

_STATES = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


class Tables(Protocol):
    """The routing table and its hot reload."""

    current: RoutingTable

    @property
    def last_error(self) -> ChefError | None:
        """Why the file cannot be read."""


def observe(
    metrics: Metrics, router: Router, tables: Tables, outcomes: OutcomeLog, admission: Admission
) -> None:
    """Add a gateway's own numbers to its metrics."""
    _load(metrics, admission)
    _models(metrics, router)
    _records(metrics, outcomes)
    _routing(metrics, router, tables)


def _load(metrics: Metrics, admission: Admission) -> None:
    gauge, counter = metrics.gauge, metrics.counter
    gauge("chef_gateway_in_flight", "Requests under way.", (), lambda: [((), admission.in_flight)])
    gauge("chef_gateway_queue", "Requests that wait.", (), lambda: [((), admission.waiting)])
    counter("chef_gateway_refused", "Requests refused as too many.", lambda: admission.refused)


def _models(metrics: Metrics, router: Router) -> None:
    def breakers() -> list[Sample]:
        return [
            ((agent, arm.arm), _STATES[arm.state])
            for agent in router.agents()
            for arm in router.health(agent)
        ]

    metrics.counter(
        "chef_gateway_retries",
        "Calls made once more for the same model: to another of its servers, or on a new "
        "connection. What went to another model is in the attempts.",
        lambda: router.retries,
    )
    help_text = "0 closed, 1 half open, 2 open."
    metrics.gauge("chef_gateway_breaker_state", help_text, ("agent", "arm"), breakers)


def _records(metrics: Metrics, outcomes: OutcomeLog) -> None:
    help_text = "Outcomes not stored yet."
    metrics.gauge("chef_gateway_outcomes_waiting", help_text, (), lambda: [((), outcomes.waiting)])
    metrics.counter("chef_gateway_outcomes_dropped", "Outcomes lost.", lambda: outcomes.dropped)
    metrics.counter(
        "chef_gateway_feedback_dropped",
        "Judgements lost, or about a request that nobody knows.",
        lambda: outcomes.feedback_dropped,
    )


def _routing(metrics: Metrics, router: Router, tables: Tables) -> None:
    def ages() -> list[Sample]:
        now = time.time()
        reports = router.periods.report()
        return [((agent,), now - periods[-1].since) for agent, periods in reports.items()]

    def entries() -> list[Sample]:
        reports = router.periods.report()
        return [((agent, periods[-1].entry), 1.0) for agent, periods in reports.items()]

    metrics.gauge(
        "chef_gateway_routing_entry_age_seconds",
        "Since when an agent is served by its present entry of models.yaml.",
        ("agent",),
        ages,
    )
    metrics.gauge(
        "chef_gateway_routing_entry_info",
        "The present entry: gateways that serve an agent alike show the same digest.",
        ("agent", "entry"),
        entries,
    )
    metrics.gauge(
        "chef_gateway_routing_table_broken",
        "1 while models.yaml cannot be read and the last good table serves.",
        (),
        lambda: [((), float(tables.last_error is not None))],
    )
