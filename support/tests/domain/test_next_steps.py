"""The way from a data set to a canary, step by step."""

from typing import Any

import pytest

from agent_orchestrator.domain.next_steps import EndedJob, after_job, without_dataset


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
        ("cicd", True, {}, "LangSmith"),
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
