"""What can be read by address, and the prompts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
from mcp import ClientSession, McpError, types
from pydantic import AnyUrl
from tests.doubles.workspace import Workspace
from tests.mcp_server.conftest import Door
from tests.mcp_server.test_tools import success

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry


async def read(session: ClientSession, uri: str) -> tuple[str, str]:
    """Return the type and the text at an address."""
    (content,) = (await session.read_resource(AnyUrl(uri))).contents
    assert isinstance(content, types.TextResourceContents)
    return content.mimeType, content.text


async def document(session: ClientSession, uri: str) -> Mapping[str, Any]:
    """Return the JSON document at an address."""
    kind, text = await read(session, uri)
    assert kind == "application/json"
    found: Mapping[str, Any] = json.loads(text)
    return found


async def test_registry_rollouts_jobs_and_reports_are_read(over_http: Door, workspace: Workspace):
    """Everything that is listed can be read, and reports in each of their forms."""
    dataset = workspace.build_dataset()
    ModelRegistry(workspace.config / "models" / "registry.json").add_model_version(
        "code_review", model_id="acme/one"
    )
    for model in ("acme/one", "acme/base"):
        workspace.add_artifact(model)
    async with over_http.session("operator") as session:
        asked = {
            "agent": "code_review",
            "baseline": "acme/base",
            "max_examples": 4,
            "dataset": dataset.id,
        }
        job = (await success(session, "evaluate_model_vs_baseline", **asked))["job_id"]
        ended = await success(session, "follow_job", job_id=job)
        assert ended["status"] == "completed", ended
        for resource in (await session.list_resources()).resources:
            await read(session, str(resource.uri))
        record = await document(session, "registry://code_review")
        assert record["history"][0]["model_id"] == "acme/one"
        assert (await document(session, "rollouts://code_review"))["rollout_id"] is None
        assert (await document(session, f"jobs://{job}"))["kind"] == "evaluation"
        found = await document(session, f"report://job/{job}/json")
        assert found["agent"] == "code_review"
        kind, text = await read(session, f"report://job/{job}/markdown")
        assert (kind, text[0]) == ("text/markdown", "#")
        kind, text = await read(session, f"report://dataset/{dataset.id}/html")
        assert (kind, text[:9].lower()) == ("text/html", "<!doctype")
        templates = (await session.list_resource_templates()).resourceTemplates
    assert {template.uriTemplate.partition(":")[0] for template in templates} == {
        *("registry", "rollouts", "jobs", "approvals", "report"),
    }


async def test_an_address_is_no_way_to_a_file(over_http: Door, workspace: Workspace):
    """Ids that look like paths, forms and schemes that there are not: each is an error."""
    workspace.build_dataset()
    (workspace.state / "secret.json").write_text("{}")
    up = quote("../../secret", safe="")
    async with over_http.session("viewer") as session:
        for uri in (
            f"report://dataset/{up}/json",
            f"report://dataset/reviews/{up}",
            f"report://job/{up}/json",
            "report://dataset/reviews/pdf",
            "report://job/job_0/json",
            f"registry://{up}",
            f"jobs://{up}",
            "registry://",
            "rollouts://nobody",
            f"file://{workspace.state}/secret.json",
            "approvals://ap_1",
        ):
            with pytest.raises(McpError):
                await session.read_resource(AnyUrl(uri))


async def test_prompts_say_how_to_go_about_it(over_http: Door):
    """Filled in, and complaining of what is missing."""
    async with over_http.session("viewer") as session:
        listed = (await session.list_prompts()).prompts
        tools = {tool.name for tool in (await session.list_tools()).tools}
        for prompt in listed:
            given = {argument.name: f"<{argument.name}>" for argument in prompt.arguments}
            (message,) = (await session.get_prompt(prompt.name, given)).messages
            assert isinstance(message.content, types.TextContent)
            assert all(value in message.content.text for value in given.values())
            assert any(tool in message.content.text for tool in tools)
            with pytest.raises(McpError, match="needs 'agent'"):
                await session.get_prompt(prompt.name, {})
        with pytest.raises(McpError, match="no prompt 'x'"):
            await session.get_prompt("x", {})
