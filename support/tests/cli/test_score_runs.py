"""``chef score-runs``."""

import pytest
from langsmith import Client, traceable, tracing_context
from tests.cli.conftest import Chef
from tests.doubles.langsmith import KEY, LangSmith

from agent_orchestrator.errors import SettingsError


@traceable(run_type="tool")
def build() -> str:
    """Build."""
    return "app:9f12"


@traceable
def release(task: str) -> str:
    """Work with a tool."""
    return f"{task} made {build()}"


def test_it_shows_a_table_or_json(
    chef: Chef, langsmith: LangSmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key it says which variable to set."""
    client = Client(api_url=langsmith.url, api_key=KEY)
    about = {"metadata": {"agent": "cicd", "expected_steps": ["build", "deploy"]}}
    with tracing_context(enabled=True, client=client, project_name="shop"):
        release("12", langsmith_extra=about)
    client.flush()
    command = ("score-runs", "cicd", "--project", "shop")
    done = chef(*command)
    assert done.code == SettingsError.exit_code
    assert "LANGSMITH_API_KEY" in done.err
    monkeypatch.setenv("LANGSMITH_API_KEY", KEY)
    monkeypatch.setenv("LANGSMITH_ENDPOINT", langsmith.url)
    done = chef(*command)
    assert done.code == 0, done.err
    assert "1 finished run of cicd in shop" in done.out
    assert "workflow_completeness" in done.out
    scores = {score["metric"]: score["mean"] for score in chef(*command, "--json").json["scores"]}
    assert scores.pop("latency_threshold") == 1.0
    assert scores == {"workflow_completeness": 0.5, "mcp_integration_quality": 1.0}
