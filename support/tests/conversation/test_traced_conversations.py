"""Conversations with the team, traced to LangSmith by LangChain's tracer and scored from there."""

from langsmith import Client, tracing_context
from tests.conversation.conftest import ADA, BOB, asked_for, resume, say
from tests.conversation.test_with_models import (  # noqa: F401 - fixtures
    Script,
    calling,
    in_turn,
    routed,
    script,
    server,
    team,
)
from tests.doubles.langsmith import KEY, LangSmith
from tests.doubles.openai_server import Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.usecases.run_scores import (
    RunScores,
    ScoreRuns,
)
from agent_orchestrator.wiring.embedded import compose
from agent_orchestrator.wiring.orchestrator import Orchestrator


async def test_the_teams_own_conversations_can_be_scored(
    workspace: Workspace,
    team: Orchestrator,  # noqa: F811
    script: Script,  # noqa: F811
    langsmith: LangSmith,
):
    """Each is of the supervisor and of those who worked; one with an approval is one run."""
    client = Client(api_url=langsmith.url, api_key=KEY)
    script["supervisor"] = routed(("feature_dev", "write f"), ("cicd", "look at f"))
    script["feature_dev"] = in_turn(calling("no_such_tool"), Reply("def f(): ..."))
    with tracing_context(enabled=True, client=client, project_name="team"):
        await say(team, "Write f and look at it")
        asked_for(await say(team, "deploy v1.0.0 to code_review", thread="t3"))
        asked = asked_for(await say(team, "deploy v1.1.0 to code_review", thread="t2"))
        await team.embedded.coordinator.answer(asked.approval_id, BOB, approve=True)
        await resume(team, asked.approval_id, thread="t2")
    client.flush()
    client.close()
    workspace.variables |= {"LANGSMITH_API_KEY": KEY, "LANGSMITH_ENDPOINT": langsmith.url}

    coordinator = compose(workspace.settings()).coordinator

    async def scored(agent: str) -> RunScores:
        request = ScoreRuns(agent=agent, project="team")
        found = await coordinator.run("score_runs", request, ADA)
        assert isinstance(found, RunScores)
        return found

    everything = await scored("supervisor")
    assert (everything.n_runs, everything.other_runs, everything.unfinished_runs) == (2, 0, 1)
    developer = await scored("feature_dev")
    assert (developer.n_runs, developer.other_runs) == (1, 1)
    assert developer.avg_tokens == sum(
        run["extra"]["metadata"]["usage_metadata"]["total_tokens"]
        for run in langsmith.runs_named("RoutedChatModel")
        if run["extra"]["metadata"]["thread_id"] == "t1"
    )
    assert (await scored("infrastructure")).n_runs == 1
