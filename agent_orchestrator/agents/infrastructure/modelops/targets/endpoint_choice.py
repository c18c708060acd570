"""Which Inference Endpoint serves a model, and on which machine one is made. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.errors import InputError

KEY = "HUGGINGFACE_TOKEN"
"""The variable that holds the token."""
RUNNING = "running"
FAILED = ("failed", "updateFailed")
#: Costs nothing. At scaledToZero it wakes at its next request; a paused one has to be resumed.
ASLEEP = ("scaledToZero", "paused")
_LONGEST_NAME = 32


@dataclass(frozen=True, slots=True)
class EndpointState:
    """An endpoint as it stands."""

    name: str
    repository: str
    status: str
    """pending, initializing, updating, running, paused, scaledToZero, failed, updateFailed."""
    url: str | None
    """Base URL up to and including ``/v1``; None until it has one."""
    instance: str
    """As ``Instance.id``."""
    message: str
    """What the service says about the status."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A kind of machine that an endpoint can have."""

    id: str
    """Vendor, region, type and size: ``aws-us-east-1-nvidia-l4-x1``."""
    vendor: str
    region: str
    accelerator: str
    type: str
    size: str
    gpu_memory_gb: float
    usd_per_hour: float
    usable: bool
    """Whether the service says that it can be had."""


def endpoint_name(model: str) -> str:
    """Return the name of the endpoint that is made for a model: always the same one.

    Up to 32 lower-case letters, digits and hyphens; unique in its namespace.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", model.rpartition("/")[2].lower())
    digest = hashlib.sha256(model.encode()).hexdigest()[:6]
    return f"{slug[: _LONGEST_NAME - len(digest) - 1].strip('-')}-{digest}"


def find(endpoints: Sequence[EndpointState], endpoint: Endpoint) -> EndpointState | None:
    """Return the endpoint that serves a model: at its URL when it has one, else by its repository.

    Of several that serve it, one that runs comes first.
    """
    if endpoint.endpoints:
        urls = {url.rstrip("/") for url in endpoint.endpoints}
        return next((one for one in endpoints if one.url in urls), None)
    same = [one for one in endpoints if one.repository == endpoint.model]
    return min(same, key=lambda one: one.status != RUNNING, default=None)


def choose_instance(
    instances: Sequence[Instance], memory_gb: float, vendor: str, region: str
) -> Instance:
    """Return the cheapest machine there that holds a model. Raises InputError when none does."""
    here = [one for one in instances if (one.vendor, one.region) == (vendor, region) and one.usable]
    fitting = [one for one in here if one.gpu_memory_gb >= memory_gb]
    if not fitting:
        most = max((one.gpu_memory_gb for one in here), default=0)
        raise InputError(
            f"No machine of {vendor} in {region} has the {memory_gb:.0f} GB of GPU memory that "
            f"serving the model takes; the largest that can be had has {most:g} GB.",
            remedy="Set vendor and region in config/modelops/endpoint_defaults.yaml, or serve it "
            "yourself and name the server's URL (endpoint).",
        )
    return min(fitting, key=lambda one: (one.usd_per_hour, one.gpu_memory_gb))
