"""Inference Endpoints by hand: see what runs and costs money, wake one, put one to sleep."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.targets.endpoint_choice import (
    KEY,
    EndpointState,
    Instance,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.endpoints import (
    EndpointList,
    EndpointReport,
    EndpointStatus,
    ListEndpoints,
    SleepEndpoint,
    WakeEndpoint,
)
from agent_orchestrator.domain.routing import RoutingTable
from agent_orchestrator.errors import ConfigurationError, ConflictError, FailedError
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.models_yaml import ModelsYaml

if TYPE_CHECKING:
    from agent_orchestrator.agents.infrastructure.modelops.targets.inference_endpoints import (
        InferenceEndpoints,
    )


class EndpointControl:
    """The use cases about Inference Endpoints."""

    def __init__(
        self,
        endpoints: Callable[[], InferenceEndpoints | None],
        models_yaml: ModelsYaml,
        audit: AuditLog,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``endpoints`` returns the way to the service, None without a token."""
        self._open = endpoints
        self._yaml = models_yaml
        self._audit = audit
        self._clock = clock

    def list(self, _request: ListEndpoints) -> EndpointList:
        """Return every endpoint. Raises ConfigurationError without a token, UnavailableError."""
        service = self._service()
        instances, table = service.instances(), self._yaml.read()
        return EndpointList(
            namespace=service.namespace,
            endpoints=[_report(one, instances, table) for one in service.list()],
        )

    def status(self, request: EndpointStatus) -> EndpointReport:
        """Return one endpoint. Raises NotFoundError, and as ``list``."""
        return self._look(request.name)

    def plan_wake(self, request: WakeEndpoint, caller: Caller) -> Plan:
        """Plan to wake an endpoint: always approved by a person, as nobody knows for how long.

        Raises ConflictError for one that runs, FailedError when its price is not known.
        """
        found = self._look(request.name)
        if found.status == "running":
            raise ConflictError(
                f"The Inference Endpoint {found.name} runs already.",
                remedy="Deploy to it, or let it sleep.",
            )
        if found.usd_per_hour is None:
            raise FailedError(
                f"What {found.name} costs is not known: the service does not list "
                f"{found.instance!r}.",
                remedy="Wake it at endpoints.huggingface.co.",
            )
        price = f"${found.usd_per_hour:.2f} an hour while it runs"

        def wake() -> EndpointReport:
            self._service().wake(found.name)
            return self._done("endpoint_woken", found.name, caller)

        async def act(_approval_id: str | None) -> EndpointReport:
            return await anyio.to_thread.run_sync(wake)

        return Plan(
            summary=f"Wake the Inference Endpoint {found.name} on {found.instance}: {price}.",
            act=act,
            cost_usd=found.usd_per_hour,
            per_hour=True,
            changes_serving=True,
            resolved={"instance": found.instance, "usd_per_hour": found.usd_per_hour},
            details={"model": found.model, "price": price},
        )

    def plan_sleep(self, request: SleepEndpoint, caller: Caller) -> Plan:
        """Plan to put an endpoint to sleep. Raises ConflictError for one that gets traffic."""
        found = self._look(request.name)
        if found.serves:
            raise ConflictError(
                f"The Inference Endpoint {found.name} serves {', '.join(found.serves)}.",
                remedy="Roll back, or deploy another model there, first.",
            )

        def sleep() -> EndpointReport:
            self._service().sleep(found.name)
            return self._done("endpoint_put_to_sleep", found.name, caller)

        async def act(_approval_id: str | None) -> EndpointReport:
            return await anyio.to_thread.run_sync(sleep)

        return Plan(
            summary=f"Scale the Inference Endpoint {found.name} ({found.status}) to zero.",
            act=act,
        )

    def _done(self, action: str, name: str, caller: Caller) -> EndpointReport:
        """Write down what was done; return how the endpoint stands now."""
        found = self._look(name)
        self._audit.append(
            self._clock(), caller.name, action, name, {"status": found.status, "door": caller.door}
        )
        return found

    def _look(self, name: str) -> EndpointReport:
        service = self._service()
        return _report(service.get(name), service.instances(), self._yaml.read())

    def _service(self) -> InferenceEndpoints:
        service = self._open()
        if service is None:
            raise ConfigurationError(
                f"{KEY} is not set.", remedy=f"Put a token with write access into {KEY}."
            )
        return service


def _report(
    state: EndpointState, instances: Sequence[Instance], table: RoutingTable
) -> EndpointReport:
    price = next((one.usd_per_hour for one in instances if one.id == state.instance), None)
    return EndpointReport(
        name=state.name,
        model=state.repository,
        status=state.status,
        url=state.url,
        instance=state.instance,
        usd_per_hour=price,
        serves=agents_served_at(table, state.url),
        message=state.message,
    )


def agents_served_at(table: RoutingTable, url: str | None) -> list[str]:
    """Return the agents that have an arm, or a fallback, whose model lives at ``url``."""
    here = {
        model
        for model, place in table.models.items()
        if url is not None and url in {one.rstrip("/") for one in place.endpoints}
    }
    return [
        agent
        for agent in table.agent_models
        if here & {*(arm.model for arm in table.arms(agent)), *table.fallback_models(agent)}
    ]
