"""The demo's report: one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from agent_orchestrator.agents.infrastructure.modelops.usecases import RolloutReport


@dataclass(frozen=True)
class RolloutSample:
    """A rollout at one moment. ``at`` is seconds since the epoch."""

    at: float
    asked: float
    realised: float | None
    evidence: dict[str, float]

    @classmethod
    def of(cls, report: RolloutReport, at: float) -> Self:
        """Return what the timeline needs of a report."""
        candidate = next((arm for arm in report.arms if arm.arm == "candidate"), None)
        realised = candidate.realised_pct if candidate else None
        return cls(
            at=at,
            asked=(report.weight or 0) / 100,
            realised=None if realised is None else realised / 100,
            evidence={rail.guardrail: rail.e_value for rail in report.guardrails},
        )


def write_demo_report(path: Path, summary: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write the report."""
    path.write_text("todo")
