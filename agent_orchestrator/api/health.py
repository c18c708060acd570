"""Whether this process lives, and whether requests should come here. Neither needs a token."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from agent_orchestrator import __version__
from agent_orchestrator.api.services import Wired
from agent_orchestrator.errors import ChefError
from agent_orchestrator.stores.models_yaml import ModelsYaml

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """This process lives."""

    status: Literal["ok"] = "ok"
    version: str = __version__


class Readiness(BaseModel):
    """Whether requests should come here."""

    status: Literal["ready", "not_ready"]
    reasons: list[str] = []


@router.get("/health", operation_id="health")
async def health() -> Health:
    """Say that this process lives."""
    return Health()


def _reasons(services: Wired) -> list[str]:
    """Return why no requests should come here."""
    checks = (
        lambda: services.embedded.jobs.newest(limit=1),
        lambda: ModelsYaml(services.settings.models_yaml).read(),
    )
    reasons = ["It is about to end."] if services.closing.is_set() else []
    for check in checks:
        try:
            check()
        except ChefError as error:
            reasons.append(str(error))
    return reasons


@router.get(
    "/ready",
    operation_id="ready",
    responses={503: {"model": Readiness, "description": "Not ready"}},
)
def ready(reasons: Annotated[list[str], Depends(_reasons)], response: Response) -> Readiness:
    """Say whether requests should come here: the database and models.yaml can be read."""
    if reasons:
        response.status_code = 503
        return Readiness(status="not_ready", reasons=reasons)
    return Readiness(status="ready")
