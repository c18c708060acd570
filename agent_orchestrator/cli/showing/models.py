"""How models look, and where they live."""

from __future__ import annotations

import click

from agent_orchestrator.agents.infrastructure.modelops.usecases.endpoints import EndpointList
from agent_orchestrator.agents.infrastructure.modelops.usecases.models import AgentModels
from agent_orchestrator.agents.infrastructure.modelops.usecases.spaces import SpaceReport
from agent_orchestrator.cli.tables import number, table


def show_agent_models(result: AgentModels) -> None:
    click.echo(f"{result.agent} is served by {result.serving}.")
    table(
        "Versions",
        ("version", "status", "parent", "accuracy", "improvement", "recommendation", "model"),
        [
            (
                version.version,
                version.status,
                version.parent,
                number(version.accuracy),
                None if version.improvement_pct is None else f"{version.improvement_pct:+.1f} %",
                version.recommendation,
                version.model_id,
            )
            for version in result.versions
        ],
    )


def show_space_report(result: SpaceReport) -> None:
    price = "" if not result.usd_per_hour else f", ${result.usd_per_hour:.2f} an hour"
    where = f"{result.space}: {result.stage} on {result.hardware}{price}" if result.space else "App"
    click.echo(f"{where} ({result.url})")
    if result.health is not None:
        gpus = ", ".join(result.gpus) or "no GPU"
        click.echo(f"Health: {result.health}; {gpus}, {result.disk_free_gb} GB of disk free")
        click.echo(f"Jobs: {len(result.running)} run, {len(result.waiting)} wait")
    for reason in result.reasons:
        click.echo(reason)


def show_endpoint_list(result: EndpointList) -> None:
    table(
        f"Inference Endpoints of {result.namespace}",
        ("endpoint", "status", "model", "machine", "an hour", "serves"),
        [
            (
                one.name,
                one.status,
                one.model,
                one.instance,
                None if one.usd_per_hour is None else f"${one.usd_per_hour:.2f}",
                ", ".join(one.serves) or None,
            )
            for one in result.endpoints
        ],
    )
