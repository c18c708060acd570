"""Who asks: the bearer of an access token, and what its role lets them do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller, check_role
from agent_orchestrator.api.services import Wired
from agent_orchestrator.domain.roles import Action

_BEARER = HTTPBearer(
    auto_error=False, description="An access token: `chef api tokens add NAME --role ROLE`."
)


def authenticated(
    request: Request,
    services: Wired,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> Caller:
    """Return who asks.

    Raises HTTPException 401 without a token that we know, 403 for a web page that has none, 429 for
    too many requests.
    """
    caller = services.access.caller(credentials.credentials if credentials else None)
    if caller is None:
        known = "This access token is nobody's, or not any more."
        missing = "An access token is needed: Authorization: Bearer TOKEN."
        challenge = {"WWW-Authenticate": "Bearer"}
        raise HTTPException(401, known if credentials else missing, headers=challenge)
    origin = request.headers.get("origin")
    ours = {_own_origin(request), *services.settings.api_origin_list}
    if credentials is None and origin and origin not in ours:
        # A browser sends some requests of any page, with this in their head; only the token that
        # is not needed here would keep it from acting as its visitor.
        raise HTTPException(403, f"A page of {origin!r} acts for nobody without an access token.")
    services.rates.take(caller.name)
    return caller


def _own_origin(request: Request) -> str:
    """Return the origin of the page that we serve, by the name that we are asked by.

    Where no token is needed, only names of this machine are answered to.
    """
    return f"{request.url.scheme}://{request.headers.get('host', '')}"


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
