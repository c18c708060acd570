"""Roles: who may do what, and nothing else."""

from typing import Any, get_args

import pytest

from agent_orchestrator.domain.roles import Action, Role, may, roles_that_may


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("viewer", {"read"}),
        ("operator", {"read", "change"}),
        ("approver", {"read", "approve"}),
        ("admin", {"read", "change", "approve", "administer"}),
    ],
)
def test_each_role_allows_exactly_its_actions(role: Role, allowed: set[Action]) -> None:
    """Who asks for changes does not approve them, but for an administrator."""
    assert {action for action in get_args(Action) if may(role, action)} == allowed


@pytest.mark.parametrize("role", ["", "Admin", "root", "admin ", None, 1])
def test_an_unknown_role_allows_nothing(role: Any) -> None:
    """A role that was misspelt, or comes from elsewhere, fails closed."""
    assert not any(may(role, action) for action in get_args(Action))


def test_an_unknown_action_is_allowed_to_nobody() -> None:
    """Also an administrator may only do what is named."""
    unknown: Any = "delete"
    assert roles_that_may(unknown) == ()


def test_every_action_is_allowed_to_somebody() -> None:
    """The roles are told in their order."""
    assert roles_that_may("approve") == ("approver", "admin")
    assert roles_that_may("administer") == ("admin",)
    assert roles_that_may("read") == get_args(Role)
