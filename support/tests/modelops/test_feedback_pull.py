"""Feedback that is given in LangSmith comes to stand beside our own, through its real client."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langsmith import Client
from tests.doubles.langsmith import KEY, LangSmith

from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.langsmith_client import (
    connect,
)
from agent_orchestrator.agents.infrastructure.modelops.tracing.export import (
    TraceDestination,
    TraceExport,
)
from agent_orchestrator.agents.infrastructure.modelops.tracing.feedback import (
    FeedbackPull,
    FeedbackSource,
)
from agent_orchestrator.agents.infrastructure.modelops.tracing.redaction import Redaction
from agent_orchestrator.domain.outcomes import Feedback, Outcome
from agent_orchestrator.domain.routing import Arm
from agent_orchestrator.errors import SettingsError, UpstreamError
from agent_orchestrator.serving.tracing import Tracer
from agent_orchestrator.settings import load_settings
from agent_orchestrator.stores.cursors import CursorStore
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.wiring.tracing import compose_feedback

PROJECT = "chef"
ARM = Arm("candidate", "v1.1.0", "team/new", 20)


def request_id() -> str:
    """Return an id as a gateway gives them."""
    return str(uuid.uuid4())


@dataclass
class Service:
    """Requests served and traced, and who judges them in LangSmith."""

    langsmith: LangSmith
    database: Database
    export: TraceExport = field(init=False)
    people: Client = field(init=False)

    def __post_init__(self) -> None:
        destination = TraceDestination(endpoint=self.langsmith.url, key=KEY, project=PROJECT)
        self.export = TraceExport(destination, Redaction([]))
        self.people = Client(self.langsmith.url, api_key=KEY, auto_batch_tracing=False)

    def serve(self, request: str, *, recorded: bool = True) -> None:
        """Serve a request: its trace arrives, and its outcome unless it is late."""
        trace = Tracer(self.export).request(request, "feature_dev", "t1", {"messages": []})
        trace.answered(ARM, "ro_1", [{"role": "assistant", "content": "yes"}])
        assert self.export.flush(20)
        if recorded:
            self.record(request)

    def record(self, request: str) -> None:
        """Let a request's outcome arrive."""
        outcome = Outcome(
            request_id=request,
            attempt=0,
            at=100.0,
            agent="feature_dev",
            task_id="t1",
            model=ARM.model,
            arm=ARM.name,
            version=ARM.version,
            rollout_id="ro_1",
            latency_ms=5.0,
            valid_output=True,
        )
        OutcomeStore(self.database).append_many([outcome])

    def judge(self, run: str, score: float | bool | None, **changes: Any) -> None:
        """Let a person judge a run, as the page of LangSmith does."""
        key = changes.pop("key", "user_score")
        project = self.people.read_project(project_name=PROJECT).id
        given = self.people.create_feedback(
            run_id=run, key=key, score=score, session_id=project, **changes
        )
        self.langsmith.feedback[str(given.id)]["feedback_source"] = {
            "type": "app",
            "metadata": None,
        }

    def pull(self) -> FeedbackPull:
        """Return a fresh pull: that of a process that has just started."""
        source = FeedbackSource(
            project=PROJECT,
            keys=("feedback_score", "user_score"),
            connect=partial(connect, self.langsmith.url, KEY),
        )
        return FeedbackPull(source, OutcomeStore(self.database), CursorStore(self.database))

    def scores(self) -> list[float]:
        """Return the judgements that verdicts see, in their order."""
        found = OutcomeStore(self.database).feedback_after("ro_1", 0, 100)
        assert {judged.arm for judged in found} <= {ARM.name}
        return [judged.score for judged in found]


@pytest.fixture
def service(langsmith: LangSmith, tmp_path: Path) -> Service:
    """Return a service without requests yet."""
    return Service(langsmith, Database(load_settings({"CHEF_STATE": str(tmp_path)}).database))


def test_feedback_on_a_traced_request_is_added_once(service: Service) -> None:
    """However often it is pulled, by whichever process, a judgement counts once."""
    good, bad = request_id(), request_id()
    service.serve(good)
    service.serve(bad)
    service.judge(good, 1)
    service.judge(bad, False, key="feedback_score")
    pull = service.pull()
    pull.tick()
    pull.tick()
    service.pull().tick()
    assert sorted(service.scores()) == [0.0, 1.0]


def test_only_scores_of_the_configured_keys_count(service: Service) -> None:
    """A remark without a score and a measure of something else are no judgement of quality."""
    request = request_id()
    service.serve(request)
    service.judge(request, 0.5, key="latency")
    service.judge(request, None, comment="hm")
    service.judge(request, 0.75)
    service.pull().tick()
    assert service.scores() == [0.75]


def test_feedback_on_a_run_that_names_the_request_is_on_the_request(service: Service) -> None:
    """An agent's own run, or a request's id of somebody's own making, is found by its metadata."""
    service.serve("ticket 7/answer")  # no UUID: its trace has another id
    (run,) = service.langsmith.runs_named("agent/feature_dev")
    assert run["id"] != "ticket 7/answer"
    service.judge(run["id"], 0.25)
    service.pull().tick()
    assert service.scores() == [0.25]


def test_what_we_sent_does_not_come_back(service: Service) -> None:
    """A judgement that the gateway was given is in LangSmith, and is not counted twice for it."""
    request = request_id()
    service.serve(request)
    given = Feedback(request, 0.0, "tests", 101.0)
    OutcomeStore(service.database).add_feedback(given)
    service.export.judge(Feedback(request, 0.0, "tests", 101.0))
    assert service.export.flush(20)
    (sent,) = service.langsmith.feedback.values()
    sent["key"] = "user_score"
    service.pull().tick()
    assert service.scores() == [0.0]


def test_feedback_may_come_before_its_outcome(service: Service) -> None:
    """What is not known yet is asked for again."""
    request = request_id()
    service.serve(request, recorded=False)
    service.judge(request, 1)
    pull = service.pull()
    pull.tick()
    assert service.scores() == []
    service.record(request)
    pull.tick()
    assert service.scores() == [1.0]


def test_a_pull_goes_on_where_the_last_one_ended(service: Service) -> None:
    """The cursor outlives the process: what is older is not even asked for."""
    old, new = request_id(), request_id()
    service.serve(old)
    service.judge(old, 1)
    service.pull().tick()
    (first,) = service.langsmith.feedback.values()
    first["created_at"] = "2020-01-01T00:00:00+00:00"
    service.serve(new)
    service.judge(new, 0)
    service.pull().tick()
    assert service.scores() == [1.0, 0.0]
    newest = max(row["created_at"] for row in service.langsmith.feedback.values())
    assert CursorStore(service.database).get("langsmith feedback") == newest


def test_a_score_out_of_range_is_said_and_holds_nothing_up(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Five stars are no score from 0 to 1; the others count, and it is said once."""
    request = request_id()
    service.serve(request)
    service.judge(request, 5)
    service.judge(request, 1)
    pull = service.pull()
    with caplog.at_level(logging.WARNING):
        pull.tick()
        pull.tick()
    assert service.scores() == [1.0]
    said = [record.message for record in caplog.records if record.name == FeedbackPull.__module__]
    assert [message.count("score is 5.0") for message in said] == [1]


def test_a_service_that_is_away_loses_nothing(service: Service) -> None:
    """A pull that fails raises a typed error and moves no cursor; the next one has it all."""
    request = request_id()
    service.serve(request)
    service.judge(request, 1)
    pull = service.pull()
    service.langsmith.failing = 503
    with pytest.raises(UpstreamError):
        pull.tick()
    assert CursorStore(service.database).get("langsmith feedback") is None
    service.langsmith.failing = None
    pull.tick()
    assert service.scores() == [1.0]


def test_a_refused_key_is_said(service: Service) -> None:
    """Somebody has to mend it."""
    service.langsmith.failing = 401
    with pytest.raises(SettingsError, match="refuses the key"):
        service.pull().tick()


@pytest.mark.parametrize(
    "variables",
    [{}, {"LANGSMITH_API_KEY": KEY}, {"LANGSMITH_TRACING": "true"}],
    ids=["nothing set", "a key alone", "tracing without a key"],
)
def test_without_traces_there_is_nothing_to_pull(
    variables: dict[str, str], tmp_path: Path, langsmith: LangSmith
) -> None:
    """Off is off: no client is made, and nothing is asked."""
    place = {"CHEF_STATE": str(tmp_path), "LANGSMITH_ENDPOINT": langsmith.url}
    assert compose_feedback(load_settings({**place, **variables})) is None
    assert langsmith.requests == []


def test_the_timer_process_pulls_where_requests_are_traced(
    tmp_path: Path, langsmith: LangSmith
) -> None:
    """With a key and tracing on, the settings alone bring the feedback in."""
    settings = load_settings(
        {
            "CHEF_STATE": str(tmp_path),
            "LANGSMITH_ENDPOINT": langsmith.url,
            "LANGSMITH_API_KEY": KEY,
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_PROJECT": PROJECT,
        }
    )
    service = Service(langsmith, Database(settings.database))
    request = request_id()
    service.serve(request)
    service.judge(request, 1)
    tick = compose_feedback(settings)
    assert tick is not None
    tick()
    assert service.scores() == [1.0]
