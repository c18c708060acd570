"""Our records as MLflow is to hold them."""

from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.mlflow_mirror.records import (
    job_run,
    model_record,
    rollout_run,
)
from agent_orchestrator.domain.jobs import Failure, Job
from agent_orchestrator.domain.models import ModelVersion
from agent_orchestrator.domain.registry import AgentRecord
from agent_orchestrator.domain.rollout import RolloutPolicy, RolloutState
from agent_orchestrator.domain.routing import Arm
from agent_orchestrator.stores.rollouts import RecordedDecision


def job(**changes: Any) -> Job:
    """Return a job."""
    given = {
        "id": "job_1",
        "kind": "training",
        "agent": "code_review",
        "status": "completed",
        "backend": "local",
        "request": {
            "request": {"agent": "code_review", "overrides": {"max_steps": 5}, "dataset": None},
            "training_config": {"learning_rate": 0.003},
            "hub_repo": "acme/one",
        },
        "requester": "ada",
        "created_at": 100.0,
        "updated_at": 200.0,
        "finished_at": 200.0,
        "result": {"version": "v1.0.0", "manifest": {"metrics": {"steps": 5, "note": "x"}}},
    }
    return Job(**{**given, **changes})


def test_a_training_tells_how_and_how_well():
    """Nested parameters under dotted names, numbers as metrics, the loss as a curve."""
    run = job_run(job(), losses=((1, 2.0), (2, 1.0)))
    assert (run.key, run.experiment, run.status) == ("job_1", "code-chef/code_review", "FINISHED")
    assert run.params == {
        "hub_repo": "acme/one",
        "agent": "code_review",
        "overrides.max_steps": "5",
        "learning_rate": "0.003",
    }
    assert run.metrics == {"steps": 5.0, "estimated_cost_usd": 0.0}
    assert run.curves == {"loss": ((1, 2.0), (2, 1.0))}
    assert run.tags["chef.version"] == "v1.0.0"


def test_an_evaluation_brings_scores_and_reports():
    """Both sides' scores, and the report's files."""
    evaluation = {
        "scores": {"candidate": {"accuracy": 0.9}, "baseline": {"accuracy": 0.8}},
        "improvement_pct": 12.5,
        "reports": {"html": "/reports/report.html"},
    }
    run = job_run(job(kind="evaluation", result={"evaluation": evaluation}))
    assert run.metrics["candidate.accuracy"] == 0.9
    assert run.metrics["improvement_pct"] == 12.5
    assert [path.name for path in run.files] == ["report.html"]


def test_how_a_job_ended_is_the_runs_status():
    """A failed one says why; one that runs has no end."""
    failed = job_run(job(status="failed", result=None, failure=Failure("disk_full", "Full.")))
    assert (failed.status, failed.tags["chef.failure"]) == ("FAILED", "disk_full")
    assert job_run(job(status="cancelled", result=None)).status == "KILLED"
    running = job_run(job(status="running", result=None, finished_at=None))
    assert (running.status, running.ended_at) == ("RUNNING", None)


def test_a_rollout_is_a_run_with_its_decisions():
    """Strategy and arms are parameters, weights are metrics, decisions are told."""
    state = RolloutState(
        id="ro_1",
        agent="cicd",
        strategy="canary",
        policy=RolloutPolicy(),
        arms=(Arm("stable", "acme/one", "v1.0.0", 80), Arm("candidate", "acme/two", "v1.1.0", 20)),
        started_at=1.0,
        step_started_at=1.0,
        phase="rolled_back",
        ended_at=9.0,
        reason="errors",
    )
    decision = RecordedDecision(
        seq=1,
        intent_id="in_1",
        rollout_id="ro_1",
        at=9.0,
        actor="timer",
        kind="rollback",
        message="Rolled back: errors.",
        evidence={},
    )
    run = rollout_run(state, [decision])
    assert run.status == "FAILED"
    assert run.params == {
        "strategy": "canary",
        "arm.stable": "v1.0.0",
        "arm.candidate": "v1.1.0",
    }
    assert run.curves["weight.candidate"] == ((0, 20.0),)
    assert run.tags["chef.decisions"] == "Rolled back: errors."


def test_an_agents_versions_are_a_registered_model():
    """Lineage and status are tags; what serves has an alias, what does not has none."""
    versions = (
        ModelVersion(version="v1.0.0", content_id="a", model_id="acme/one"),
        ModelVersion(
            version="v1.0.1",
            content_id="b",
            model_id="acme/one-gguf",
            parent_version="v1.0.0",
            quantization="Q8_0",
        ),
    )
    record = AgentRecord(agent_name="cicd", current="v1.0.0", history=versions)
    model = model_record(record)
    assert (model.name, model.aliases) == ("code-chef.cicd", {"current": "v1.0.0"})
    assert model.versions[1].tags["chef.parent"] == "v1.0.0"
    assert model.versions[1].tags["chef.quantization"] == "Q8_0"
