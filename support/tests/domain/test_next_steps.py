"""The way from a data set to a canary, step by step."""

from typing import Any

import pytest

from agent_orchestrator.domain.next_steps import (
    EndedJob,
    after_job,
    instead,
    with_dataset,
    without_dataset,
)


def ended(kind: str, status: str = "completed", **more: Any) -> EndedJob:
    """Return a job of feature_dev."""
    return EndedJob(job_id="job_1", kind=kind, agent="feature_dev", status=status, **more)


TRAINED = {"dataset": "d1", "base_model": "acme/base", "max_examples": 10}


@pytest.mark.parametrize(
    ("job", "use_case", "values"),
    [
        (
            ended("training", values={**TRAINED, "mode": "demo"}, version="v1.0.0"),
            "train_subagent_model",
            {
                "agent": "feature_dev",
                "dataset": "d1",
                "base_model": "acme/base",
                "mode": "production",
            },
        ),
        (
            ended("training", values={"mode": "production"}, version="v1.1.0"),
            "evaluate_model_vs_baseline",
            {"agent": "feature_dev", "candidate": "v1.1.0"},
        ),
        (
            ended("search", version="v1.2.0"),
            "evaluate_model_vs_baseline",
            {"agent": "feature_dev", "candidate": "v1.2.0"},
        ),
        *(
            (
                ended("evaluation", candidate="v1.1.0", recommendation=said),
                "deploy_model_to_agent",
                {"agent": "feature_dev", "version": "v1.1.0", "strategy": "canary_20pct"},
            )
            for said in ("deploy", "deploy_canary", "needs_review")
        ),
        (
            ended("evaluation", candidate="acme/tuned", recommendation="deploy"),
            "deploy_model_to_agent",
            {"agent": "feature_dev", "model": "acme/tuned", "strategy": "canary_20pct"},
        ),
        *(
            (ended("training", status, failure=why), "resume_training_job", {"job_id": "job_1"})
            for status, why in (("cancelled", None), ("failed", "killed"), ("failed", "disk_full"))
        ),
    ],
)
def test_each_end_leads_to_the_next_step(job: EndedJob, use_case: str, values: dict[str, Any]):
    """Data set → demo → production → evaluation → canary, and on from where it was cut off."""
    proposal = after_job(job)
    assert (proposal.use_case, proposal.values) == (use_case, values)
    assert proposal.question.endswith("?")


@pytest.mark.parametrize(
    "job",
    [
        ended("training", "failed", failure="nan_loss"),
        ended("training", values={"mode": "production"}),
        ended("evaluation", candidate="v1.1.0", recommendation="reject"),
        ended("evaluation", "failed"),
        ended("conversion"),
        ended("trial"),
    ],
)
def test_nothing_is_proposed_where_a_person_has_to_think(job: EndedJob):
    """What was rejected, or cannot succeed as it was asked, is not offered again."""
    assert after_job(job) is None


@pytest.mark.parametrize(
    ("agent", "langsmith", "values", "said"),
    [
        ("cicd", True, {"source": "langsmith"}, "LangSmith"),
        ("code_review", False, {"source": "stdlib-defects"}, "standard library"),
        ("cicd", False, {}, "Where are examples"),
    ],
)
def test_a_missing_data_set_is_offered_from_what_there_is(
    agent: str, langsmith: bool, values: dict[str, str], said: str
):
    """Nothing is offered that could not be built here."""
    proposal = without_dataset(agent, langsmith=langsmith)
    assert proposal.values == {"agent": agent, **values}
    assert said in proposal.question


def test_a_training_that_lacked_its_data_set_is_offered_as_it_was_wished():
    """On the data set that was built; a demo run where nothing else was said."""
    wished = {"agent": "cicd", "method": "dpo", "max_examples": 200, "dry_run": True}
    proposal = with_dataset("cicd", "d1", wished)
    own = {"agent": "cicd", "method": "dpo", "max_examples": 200}
    assert proposal.values == {**own, "dataset": "d1", "mode": "demo"}
    assert "demo" in proposal.question
    production = with_dataset("cicd", "d1", {"agent": "cicd", "mode": "production"})
    assert production.values["mode"] == "production"
    assert "demo" not in production.question
    assert with_dataset("cicd", "d1", {}).values["mode"] == "demo"


def test_a_production_training_that_is_objected_to_begins_with_the_demo():
    """Of the same; nothing is proposed in the place of anything else."""
    wanted = {"agent": "feature_dev", "dataset": "d1", "mode": "production"}
    proposal = instead("train_subagent_model", wanted)
    assert proposal is not None
    assert proposal.values == {**wanted, "mode": "demo"}
    assert instead("search_hyperparameters", wanted) is None
