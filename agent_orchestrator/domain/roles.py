"""Roles: what a caller whom a door has authenticated may do. What is not named is not allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

Role = Literal["viewer", "operator", "approver", "admin"]
"""From least to most, but for operator and approver: neither may do what the other may."""

Action = Literal["read", "change", "approve", "administer"]
"""``read`` what is there, ask for and carry out a ``change``, ``approve`` what others ask for,
``administer`` who may do what."""

_ALLOWED: Final[Mapping[Role, frozenset[Action]]] = {
    "viewer": frozenset({"read"}),
    "operator": frozenset({"read", "change"}),
    "approver": frozenset({"read", "approve"}),
    "admin": frozenset(get_args(Action)),
}


def may(role: Role, action: Action) -> bool:
    """Return whether the role allows the action; an unknown role allows nothing."""
    return action in _ALLOWED.get(role, frozenset())


def roles_that_may(action: Action) -> tuple[Role, ...]:
    """Return the roles that allow the action."""
    return tuple(role for role, allowed in _ALLOWED.items() if action in allowed)
