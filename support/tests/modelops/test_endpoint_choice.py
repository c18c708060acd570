"""Which Inference Endpoint serves a model, and on which machine one is made."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.agents.infrastructure.modelops.targets.endpoint_choice import (
    EndpointState,
    Instance,
    choose_instance,
    endpoint_name,
    find,
)
from agent_orchestrator.domain.hosting import gpu_memory_gb
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.errors import InputError


def instance(gpu_memory_gb: float, usd_per_hour: float, **more: object) -> Instance:
    """Return a machine in one place."""
    usual = {
        "id": f"m{gpu_memory_gb:g}-{usd_per_hour:g}",
        "vendor": "aws",
        "region": "us-east-1",
        "accelerator": "gpu",
        "type": "t",
        "size": "x1",
        "usable": True,
    }
    return Instance(gpu_memory_gb=gpu_memory_gb, usd_per_hour=usd_per_hour, **(usual | more))


def endpoint(name: str, repository: str, status: str, url: str | None = None) -> EndpointState:
    """Return an endpoint."""
    return EndpointState(name, repository, status, url, "m", "")


MACHINES = [
    instance(14, 0.5),
    instance(24, 1.0),
    instance(24, 0.8),
    instance(24, 0.1, region="eu-west-1"),
    instance(48, 0.2, usable=False),
    instance(80, 2.5),
]


@pytest.mark.parametrize(
    ("needed", "price"), [(1, 0.5), (14, 0.5), (14.1, 0.8), (24, 0.8), (25, 2.5), (80, 2.5)]
)
def test_the_cheapest_machine_that_holds_the_model_is_taken(needed: float, price: float) -> None:
    """Of those that are in the place and can be had."""
    assert choose_instance(MACHINES, needed, "aws", "us-east-1").usd_per_hour == price


def test_a_model_that_no_machine_holds_is_refused() -> None:
    """With the way out."""
    with pytest.raises(
        InputError, match=r"81 GB of GPU memory .* the largest .* has 80 GB"
    ) as found:
        choose_instance(MACHINES, 81, "aws", "us-east-1")
    assert "(endpoint)" in found.value.remedy
    with pytest.raises(InputError):
        choose_instance(MACHINES, 1, "azure", "us-east-1")


@pytest.mark.parametrize(("billions", "gigabytes"), [(0.5, 24), (7.6, 24), (13, 48), (32, 80)])
def test_usual_models_fit_the_machines_that_people_rent_for_them(
    billions: float, gigabytes: float
) -> None:
    """In 16 bits, with room for a cache."""
    assert gpu_memory_gb(billions * 1e9) < gigabytes


def test_a_models_endpoint_is_found_by_its_repository_or_its_url() -> None:
    """One that runs comes first."""
    url = "https://x.endpoints.huggingface.cloud/v1"
    asleep = endpoint("a", "acme/one", "scaledToZero", url)
    runs = endpoint("b", "acme/one", "running")
    others = [endpoint("c", "acme/two", "running")]
    assert find([*others, asleep, runs], Endpoint("acme/one", "huggingface")) == runs
    assert find([*others, asleep], Endpoint("acme/one", "huggingface")) == asleep
    assert find(others, Endpoint("acme/one", "huggingface")) is None
    listed = Endpoint("acme/one", "huggingface", (f"{url}/",))
    assert find([runs, asleep], listed) == asleep
    assert find([runs], listed) is None


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}[A-Za-z0-9]", fullmatch=True))
def test_a_name_is_one_that_the_service_takes(name: str) -> None:
    """Lower-case letters, digits and hyphens, at most 32, the same for the same model."""
    found = endpoint_name(f"acme/{name}")
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", found)
    assert found == endpoint_name(f"acme/{name}")
    assert found != endpoint_name(f"other/{name}")
