"""Who asks: the bearer of an access token, and what its role lets them do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller, check_role
from agent_orchestrator.api.services import Wired
from agent_orchestrator.domain.roles import Action

_BEARER = HTTPBearer(
    auto_error=False, description="An access token: `chef api tokens add NAME --role ROLE`."
)


def authenticated(
    services: Wired,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> Caller:
    """Return who asks. Raises HTTPException 401 without a token that we know, 429 for too many."""
    caller = services.access.caller(credentials.credentials if credentials else None)
    if caller is None:
        raise HTTPException(
            401,
            "An access token is needed: Authorization: Bearer TOKEN.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    services.rates.take(caller.name)
    return caller


Authenticated = Annotated[Caller, Depends(authenticated)]


def allowed(action: Action) -> Callable[[Caller], Caller]:
    """Return a dependency that lets only those in whose role allows the action."""

    def check(caller: Authenticated) -> Caller:
        check_role(caller, action)
        return caller

    return check


Reader = Annotated[Caller, Depends(allowed("read"))]
Changer = Annotated[Caller, Depends(allowed("change"))]
Administrator = Annotated[Caller, Depends(allowed("administer"))]
