"""The tools as a client sees them, made from the index of use cases: a new one appears by itself.

Beside the use cases stand two that only other doors' options do: ``follow_job`` waits as ``--wait``
does, ``carry_out_approved`` goes on with what a person has approved. None of them approves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from mcp import types
from pydantic import BaseModel, Field

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import (
    PlannedChange,
    Request,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES, UseCaseSpec
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    JobReport,
    MonitorTrainingJob,
)


class FollowJob(MonitorTrainingJob):
    """Follow a job until it ends, with progress, and return its last report.

    Of any kind, by its id or as the agent's newest.
    """

    minutes: Annotated[float, Field(gt=0, le=24 * 60)] = 10.0
    """How long to follow it; the report says whether it has ended."""


class CarryOutApproved(Request):
    """Carry out the request that an approval was given for, once.

    A person with the role of an approver has answered it before, by any door.
    """

    approval_id: str


FOLLOW: Final = "follow_job"
CARRY_OUT: Final = "carry_out_approved"


def list_tools() -> list[types.Tool]:
    """Return every tool, the use cases in the order of their index."""
    return [
        *(_use_case_tool(name, spec) for name, spec in USE_CASES.items()),
        types.Tool(
            name=FOLLOW,
            title=_title(FOLLOW),
            description=_description(FollowJob),
            inputSchema=FollowJob.model_json_schema(),
            outputSchema=_output_schema(JobReport),
            annotations=types.ToolAnnotations(readOnlyHint=True),
        ),
        types.Tool(
            name=CARRY_OUT,
            title=_title(CARRY_OUT),
            description=_description(CarryOutApproved),
            inputSchema=CarryOutApproved.model_json_schema(),
            annotations=types.ToolAnnotations(
                readOnlyHint=False, destructiveHint=True, idempotentHint=False
            ),
        ),
    ]


def _use_case_tool(name: str, spec: UseCaseSpec) -> types.Tool:
    results = (spec.result, PlannedChange) if spec.changes else (spec.result,)
    annotations = (
        types.ToolAnnotations(
            readOnlyHint=False,
            destructiveHint=not spec.adds_only,
            idempotentHint=spec.repeatable,
        )
        if spec.changes
        else types.ToolAnnotations(readOnlyHint=True)
    )
    return types.Tool(
        name=name,
        title=_title(name),
        description=_description(spec.request),
        inputSchema=spec.request.model_json_schema(),
        outputSchema=_output_schema(*results),
        annotations=annotations,
    )


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _description(request: type[Request]) -> str:
    return " ".join((request.__doc__ or "").split())


def _output_schema(*results: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of one of the results; a dry run answers with another one than the act."""
    schemas = [result.model_json_schema(mode="serialization") for result in results]
    if len(schemas) == 1:
        return schemas[0]
    definitions: dict[str, Any] = {}
    for schema in schemas:
        definitions |= schema.pop("$defs", {})
    return {"type": "object", "anyOf": schemas, **_with("$defs", definitions)}


def _with(key: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value} if value else {}
