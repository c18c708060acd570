"""The arms of a rollout, for tests that write one down."""

from agent_orchestrator.domain.routing import CANDIDATE, STABLE, Arm


def pair(
    weight: int = 20,
    *,
    stable: tuple[str, str | None] = ("a/b", None),
    candidate: tuple[str, str | None] = ("a/c", None),
    mirror: int = 0,
) -> tuple[Arm, ...]:
    """Return a stable arm and one candidate with ``weight`` percent."""
    return (
        Arm(STABLE, *stable, weight=100 - weight),
        Arm(CANDIDATE, *candidate, weight=weight, mirror=mirror),
    )
