"""A canary that is under way, as models.yaml holds it."""

from __future__ import annotations

from tests.doubles.workspace import Workspace

ROLLOUT = "ro_20261120_7f3a"


def start_canary(
    workspace: Workspace, agent: str, url: str, *others: str, weight: int = 50
) -> None:
    """Serve ``agent`` by ``acme/<agent>`` and, ``weight`` percent, by ``acme/<agent>-v2``.

    ``others`` are agents that live at the same URL, without a canary.
    """
    workspace.serve_elsewhere(**dict.fromkeys((agent, *others), url))
    with workspace.models_yaml.open("a", encoding="utf-8") as file:
        file.write(
            f'  acme/{agent}-v2: {{provider: self_hosted, endpoints: ["{url}"]}}\n'
            f"rollouts:\n  {agent}:\n"
            f"    id: {ROLLOUT}\n    strategy: canary\n    phase: running\n    arms:\n"
            f"      - {{name: stable, version: v1.0.0, model: acme/{agent}, "
            f"weight: {100 - weight}}}\n"
            f"      - {{name: candidate, version: v1.1.0, model: acme/{agent}-v2, "
            f"weight: {weight}}}\n"
        )
