"""Where the gateway is, for programs that ask its models: addresses and names, never a key."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from agent_orchestrator.api.auth import Reader
from agent_orchestrator.api.services import Wired
from agent_orchestrator.serving.gateway_requests import MODEL_PREFIX
from agent_orchestrator.stores.gateways import GatewayAddress, running_gateways

router = APIRouter(tags=["overview"])

_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  # nosec B104 - what a gateway may listen on


class GatewayModel(BaseModel):
    """An agent, as the gateway offers it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """``model`` of a request: ``agent/<name>``."""
    agent: str
    serves: str
    """Id of the model that answers, or of the stable one while a rollout runs."""
    version: str | None
    rollout_id: str | None
    """Null unless several models share its requests."""


class GatewayShown(BaseModel):
    """How to ask the models: in the form of OpenAI's chat completions."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    base_url: str | None
    """The first gateway's, with ``/v1``; null while none runs."""
    base_urls: list[str]
    """Of all that run here."""
    key_needed: bool | None
    """Whether it asks for a key (``chef gateway keys add NAME``); null while none runs."""
    models: list[GatewayModel]


@router.get("/gateway", operation_id="get_gateway")
def gateway(request: Request, _caller: Reader, services: Wired) -> GatewayShown:
    """Say where the gateway listens and which models it offers; a key is not told."""
    running = running_gateways(services.settings.gateways_dir)
    urls = [_url(one, request.url.hostname) for one in running]
    return GatewayShown(
        base_url=urls[0] if urls else None,
        base_urls=urls,
        key_needed=running[0].asks_for_key if running else None,
        models=[
            GatewayModel(
                id=MODEL_PREFIX + one.agent,
                agent=one.agent,
                serves=one.model,
                version=one.version,
                rollout_id=one.rollout_id,
            )
            for one in services.embedded.overview.agents()
        ],
    )


def _url(address: GatewayAddress, asked_at: str | None) -> str:
    """Return its base URL; one that listens everywhere is where the API was found."""
    if address.host in _EVERY_ADDRESS and asked_at:
        address = replace(address, host=asked_at)
    return f"{address.url}/v1"
