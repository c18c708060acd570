"""What a Hub token may do, read from ``GET /api/whoami-v2``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent_orchestrator.errors import ConfigurationError

_WRITING_ROLES: Final = frozenset({"admin", "write", "contributor"})
_TOKENS: Final = "huggingface.co/settings/tokens"


@dataclass(frozen=True, slots=True)
class PushRight:
    """A token that may write for a namespace."""

    user: str
    namespace: str


def push_right(told: Mapping[str, Any], namespace: str, *, jobs: bool) -> PushRight:
    """Return the right to write for ``namespace`` (and run jobs there), if the token has it.

    ``told`` is the Hub's answer. A kind of token that is not known here passes: the first write
    decides. Raises ConfigurationError that says what is missing.
    """
    user = str(told["name"])
    roles = {str(org["name"]): org.get("roleInOrg") for org in told.get("orgs") or ()}
    if namespace != user and namespace not in roles:
        own = ", ".join((user, *sorted(roles)))
        raise ConfigurationError(
            f"MODELOPS_HUB_ORG={namespace!r} is neither {user!r} nor an organisation of theirs.",
            remedy=f"Set MODELOPS_HUB_ORG to one of: {own}.",
        )
    if namespace != user and roles[namespace] not in {None, *_WRITING_ROLES}:
        raise ConfigurationError(
            f"{user} may only read in {namespace} (role {roles[namespace]!r}).",
            remedy=f"Have an admin of {namespace} give you the role write, or use {user}.",
        )
    token = ((told.get("auth") or {}).get("accessToken")) or {}
    if token.get("role") == "read":
        raise ConfigurationError(
            "HUGGINGFACE_TOKEN may only read.", remedy=f"Make one that may write: {_TOKENS}."
        )
    if token.get("role") == "fineGrained":
        _check_scopes(token.get("fineGrained") or {}, namespace, jobs=jobs)
    return PushRight(user, namespace)


def _check_scopes(fine: Mapping[str, Any], namespace: str, *, jobs: bool) -> None:
    granted = set(fine.get("global") or ())
    for scope in fine.get("scoped") or ():
        if (scope.get("entity") or {}).get("name") == namespace:
            granted |= set(scope.get("permissions") or ())
    needed = {"repo.write", "job.write"} if jobs else {"repo.write"}
    if missing := sorted(needed - granted):
        raise ConfigurationError(
            f"The fine-grained HUGGINGFACE_TOKEN lacks {' and '.join(missing)} for {namespace}.",
            remedy=f"Edit it at {_TOKENS}: write access to repositories"
            f"{', and to start and manage Jobs,' if jobs else ''} under {namespace}.",
        )
