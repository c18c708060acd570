"""Hugging Face Inference Endpoints, through the Hub's own client (import it late: it is slow)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import httpx2  # the Hub client's own transport
from huggingface_hub import HfApi, InferenceEndpoint, get_session
from huggingface_hub.errors import HfHubHTTPError

from agent_orchestrator.agents.infrastructure.modelops.targets.endpoint_choice import (
    KEY,
    EndpointState,
    Instance,
)
from agent_orchestrator.errors import (
    ConfigurationError,
    FailedError,
    NotFoundError,
    UnavailableError,
)

_CALL_SECONDS = 30.0
_UNUSABLE = ("not_available", "deprecated")


class InferenceEndpoints:
    """The endpoints of one namespace. Blocking; may be shared by threads.

    Every method raises ConfigurationError for a token that is refused, UnavailableError when the
    service does not answer, FailedError when it refuses what was asked.
    """

    def __init__(self, token: str, namespace: str | None) -> None:
        """``namespace`` None is the token's user."""
        self._token = token
        self._given_namespace = namespace

    @cached_property
    def _api(self) -> HfApi:
        get_session().timeout = httpx2.Timeout(_CALL_SECONDS)  # it would wait for ever
        return HfApi(token=self._token)

    @cached_property
    def namespace(self) -> str:
        """Whose endpoints these are."""
        if self._given_namespace is not None:
            return self._given_namespace
        with _failures():
            return str(self._api.whoami()["name"])

    def list(self) -> Sequence[EndpointState]:
        """Return all endpoints."""
        with _failures():
            found = self._api.list_inference_endpoints(namespace=self.namespace)
            return [_state(endpoint) for endpoint in found]

    def get(self, name: str) -> EndpointState:
        """Return one endpoint. Raises NotFoundError."""
        with _failures(name):
            return _state(self._api.get_inference_endpoint(name, namespace=self.namespace))

    def instances(self) -> Sequence[Instance]:
        """Return the machines with GPUs that the service offers, with their prices."""
        with _failures():
            offered = self._api.list_inference_endpoints_hardware(namespace=self.namespace)
        return [
            Instance(
                id=one.id,
                vendor=one.vendor,
                region=one.region,
                accelerator=one.accelerator,
                type=one.instance_type,
                size=one.instance_size,
                gpu_memory_gb=float(one.gpu_memory_gb),
                usd_per_hour=one.price_per_hour,
                usable=one.status not in _UNUSABLE,
            )
            for one in offered
            if one.accelerator == "gpu" and one.gpu_memory_gb
        ]

    def create(
        self,
        name: str,
        *,
        repository: str,
        instance: Instance,
        idle_minutes: int,
        image: Mapping[str, Any] | None,
        arguments: Sequence[str],
    ) -> EndpointState:
        """Make an endpoint of one replica that sleeps after ``idle_minutes`` without a request.

        ``image`` is the serving engine as the service takes it, None its own choice; ``arguments``
        are appended to its command line.
        """
        with _failures(name):
            made = self._api.create_inference_endpoint(
                name,
                namespace=self.namespace,
                repository=repository,
                framework="pytorch",
                task="text-generation",
                accelerator=instance.accelerator,
                vendor=instance.vendor,
                region=instance.region,
                instance_type=instance.type,
                instance_size=instance.size,
                min_replica=0,
                max_replica=1,
                scale_to_zero_timeout=idle_minutes,
                custom_image=dict(image) if image else None,
                container_args=list(arguments) or None,
                type="authenticated",
                tags=["chef"],
            )
            return _state(made)

    def wake(self, name: str) -> EndpointState:
        """Bring an endpoint up; it takes minutes. Raises NotFoundError."""
        with _failures(name):
            return _state(self._api.resume_inference_endpoint(name, namespace=self.namespace))

    def sleep(self, name: str) -> EndpointState:
        """Scale an endpoint to zero: it costs nothing until its next request."""
        with _failures(name):
            found = self._api.scale_to_zero_inference_endpoint(name, namespace=self.namespace)
            return _state(found)


def _state(endpoint: InferenceEndpoint) -> EndpointState:
    raw = endpoint.raw
    compute, provider = raw.get("compute") or {}, raw.get("provider") or {}
    places = (provider, "vendor"), (provider, "region"), (compute, "instanceType")
    parts = [str(where.get(key, "")) for where, key in (*places, (compute, "instanceSize"))]
    return EndpointState(
        name=endpoint.name,
        repository=endpoint.repository,
        status=str(raw["status"]["state"]),
        url=f"{endpoint.url.rstrip('/')}/v1" if endpoint.url else None,
        instance="-".join(parts),
        message=str(raw["status"].get("message") or ""),
    )


@contextmanager
def _failures(name: str = "") -> Iterator[None]:
    """Turn what the Hub's client raises into our errors."""
    what = f"Inference Endpoints ({name})" if name else "Inference Endpoints"
    try:
        yield
    except HfHubHTTPError as error:
        raise _refusal(what, name, error) from error
    except (httpx2.HTTPError, OSError) as error:
        raise UnavailableError(
            f"{what} cannot be reached: {str(error) or type(error).__name__}.", remedy="Try again."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UnavailableError(
            f"{what} answered in a form that is not known: {type(error).__name__}: {error}.",
            remedy="Try again; if it stays so, another version of huggingface-hub may know it.",
        ) from error


def _refusal(
    what: str, name: str, error: HfHubHTTPError
) -> ConfigurationError | NotFoundError | UnavailableError | FailedError:
    status = error.response.status_code
    said = " ".join((error.server_message or "").split()) or f"status {status}"
    if status in {401, 403}:
        return ConfigurationError(
            f"{what} refused the token: {said}.",
            remedy=f"{KEY} needs write access to the Inference Endpoints of MODELOPS_HUB_ORG.",
        )
    if status == 402:  # noqa: PLR2004
        return ConfigurationError(
            f"{what} wants to be paid: {said}.", remedy="Add a payment method on Hugging Face."
        )
    if status == 404 and name:  # noqa: PLR2004
        return NotFoundError(
            f"There is no Inference Endpoint {name!r}.",
            remedy="See the list of endpoints (`chef endpoints list`).",
        )
    if status == 429 or status >= 500:  # noqa: PLR2004
        return UnavailableError(f"{what} did not answer: {said}.", remedy="Try again.")
    return FailedError(f"{what} refused: {said}.", remedy="See endpoints.huggingface.co.")
