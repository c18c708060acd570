"""The split that is asked of our own router and gateway, as models.yaml says it."""

from __future__ import annotations

import json
from pathlib import Path

from contest.driver import AGENT, CANDIDATE, STABLE, STABLE_SHARE

from agent_orchestrator.domain.routing import Arm, Endpoint, Rollout, RoutingTable
from agent_orchestrator.stores.routing_document import to_plain


def write_models_yaml(folder: Path, upstream: str) -> Path:
    """Write a models.yaml with a canary, as `chef deploy` does; return the configuration folder."""
    arms = (
        Arm("stable", STABLE, "v1.0.0", STABLE_SHARE),
        Arm("candidate", CANDIDATE, "v1.1.0", 100 - STABLE_SHARE),
    )
    table = RoutingTable(
        agent_models={AGENT: STABLE},
        models={m: Endpoint(m, "self_hosted", (upstream,)) for m in (STABLE, CANDIDATE)},
        rollouts={AGENT: Rollout("ro_bench", "canary", arms)},
    )
    config = folder / "config"
    path = config / "agents" / "models.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(to_plain(table)), encoding="utf-8")  # JSON is YAML
    return config
