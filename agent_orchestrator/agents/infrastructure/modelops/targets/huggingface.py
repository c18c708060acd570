"""Hugging Face: a deployment's endpoint is found or made, woken for the gate, and put to sleep.

An endpoint costs money while it runs. The plan says how much an hour, and the approval covers that
price; the service puts it to sleep after some minutes without a request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.targets import Placement, Target
from agent_orchestrator.agents.infrastructure.modelops.targets.endpoint_choice import (
    FAILED,
    KEY,
    RUNNING,
    EndpointState,
    Instance,
    choose_instance,
    endpoint_name,
    find,
)
from agent_orchestrator.domain.hosting import gpu_memory_gb
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.errors import ChefError, ConfigurationError, FailedError
from agent_orchestrator.stores.defaults import EndpointDefaults

if TYPE_CHECKING:
    from agent_orchestrator.agents.infrastructure.modelops.targets.inference_endpoints import (
        InferenceEndpoints,
    )

OpenEndpoints = Callable[[], "InferenceEndpoints | None"]
"""Return the way to the service, None without a token."""


class HuggingFaceTarget:
    """A ``Target``."""

    def __init__(
        self,
        *,
        endpoints: OpenEndpoints,
        elsewhere: Target,
        size: Callable[[str], float],
        defaults: EndpointDefaults,
    ) -> None:
        """``size`` returns a model's weights; ``elsewhere`` looks at a URL that is not ours."""
        self._open = endpoints
        self._elsewhere = elsewhere
        self._size = size
        self._defaults = defaults

    def plan(self, endpoint: Endpoint) -> Placement:
        """Find the model's endpoint, or the machine for one that is yet to be made."""
        service = self._open()
        if service is None:
            if endpoint.endpoints:
                return self._elsewhere.plan(endpoint)
            raise ConfigurationError(
                f"{KEY} is not set: nobody can make an endpoint for {endpoint.model}.",
                remedy=f"Set {KEY}, or name a server that runs already (endpoint).",
            )
        found = find(service.list(), endpoint)
        if found is None and endpoint.endpoints:
            return self._elsewhere.plan(endpoint)
        instances = service.instances()
        if found is None:
            return self._plan_making(endpoint, instances)
        return _plan_waking(endpoint, found, instances)

    def _plan_making(self, endpoint: Endpoint, instances: Sequence[Instance]) -> Placement:
        model = endpoint.model
        instance = choose_instance(
            instances,
            gpu_memory_gb(self._size(model)),
            self._defaults.vendor,
            self._defaults.region,
        )
        name = endpoint_name(model)
        summary = (
            f"The Inference Endpoint {name} is made for it on {instance.id}: "
            f"${instance.usd_per_hour:.2f} an hour while it runs; it sleeps after "
            f"{self._defaults.idle_minutes} minutes without a request."
        )
        return _placement(endpoint, name, instance, summary)

    @asynccontextmanager
    async def ready(self, placement: Placement) -> AsyncIterator[Endpoint]:
        """Make or wake the endpoint and wait until it runs; after an error it sleeps again."""
        service = self._open()
        name = placement.resolved.get("endpoint")
        if service is None or name is None:  # a URL that is not ours: nothing to bring up
            yield placement.endpoint
            return
        woken = await anyio.to_thread.run_sync(self._bring_up, service, placement, name)
        try:
            url = await self._wait(service, name)
            yield Endpoint(placement.endpoint.model, "huggingface", (url,), KEY)
        except BaseException as error:
            if woken:
                with anyio.CancelScope(shield=True):
                    said = await anyio.to_thread.run_sync(_put_to_sleep, service, name)
                if isinstance(error, ChefError):
                    error.remedy = f"{error.remedy} {said}".strip()
            raise

    def _bring_up(self, service: InferenceEndpoints, placement: Placement, name: str) -> bool:
        """Make the endpoint or wake it; return whether it was not running before."""
        found = next((one for one in service.list() if one.name == name), None)
        if found is None:
            self._make(service, placement, name)
            return True
        if found.status == RUNNING:
            return False
        service.wake(name)
        return True

    def _make(self, service: InferenceEndpoints, placement: Placement, name: str) -> None:
        offered = {instance.id: instance for instance in service.instances()}
        instance = offered.get(placement.resolved["instance"])
        if instance is None:
            raise FailedError(
                f"{placement.resolved['instance']} is not offered any more.", remedy="Deploy again."
            )
        model = placement.endpoint.model
        service.create(
            name,
            repository=model,
            instance=instance,
            idle_minutes=self._defaults.idle_minutes,
            image=self._defaults.image,
            arguments=[text.format(model=model) for text in self._defaults.arguments],
        )

    async def _wait(self, service: InferenceEndpoints, name: str) -> str:
        """Return the endpoint's URL once it runs. Raises FailedError."""
        limit = self._defaults.start_seconds
        state = await anyio.to_thread.run_sync(service.get, name)
        with anyio.move_on_after(limit):
            while not (state.status == RUNNING and state.url):
                if state.status in FAILED:
                    raise FailedError(
                        f"The Inference Endpoint {name} {state.status}: {state.message}",
                        remedy="See its log at endpoints.huggingface.co.",
                    )
                await anyio.sleep(self._defaults.poll_seconds)
                state = await anyio.to_thread.run_sync(service.get, name)
            return state.url
        raise FailedError(
            f"The Inference Endpoint {name} was still {state.status} after {limit:g} s.",
            remedy="See its log at endpoints.huggingface.co, or raise start_seconds in "
            "config/modelops/endpoint_defaults.yaml.",
        )


def _plan_waking(
    endpoint: Endpoint, found: EndpointState, instances: Sequence[Instance]
) -> Placement:
    instance = next((one for one in instances if one.id == found.instance), None)
    if instance is None:
        raise FailedError(
            f"What the Inference Endpoint {found.name} costs is not known: the service does not "
            f"list {found.instance!r}.",
            remedy="Move it to another machine at endpoints.huggingface.co.",
        )
    runs = "runs" if found.status == RUNNING else f"is {found.status} and will be woken"
    summary = (
        f"Its Inference Endpoint {found.name} on {instance.id} {runs}: "
        f"${instance.usd_per_hour:.2f} an hour while it runs."
    )
    return _placement(endpoint, found.name, instance, summary)


def _placement(endpoint: Endpoint, name: str, instance: Instance, summary: str) -> Placement:
    return Placement(
        endpoint=endpoint,
        summary=summary,
        usd_per_hour=instance.usd_per_hour,
        resolved={
            "endpoint": name,
            "instance": instance.id,
            "usd_per_hour": instance.usd_per_hour,
        },
        details={
            "endpoint": name,
            "instance": f"{instance.id}, {instance.gpu_memory_gb:g} GB of GPU memory",
            "price": f"${instance.usd_per_hour:.2f} an hour while it runs",
        },
    )


def _put_to_sleep(service: InferenceEndpoints, name: str) -> str:
    """Scale an endpoint to zero; return what to tell about it."""
    try:
        service.sleep(name)
    except ChefError as error:
        return (
            f"The Inference Endpoint {name} could not be put to sleep ({error.message}): it may "
            f"cost money until it sleeps (`chef endpoints sleep {name}`)."
        )
    return f"The Inference Endpoint {name} is scaled to zero again."
