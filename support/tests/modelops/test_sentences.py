"""Jobs in sentences: what a conversation and a terminal both say of each kind."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cli.test_render import EVALUATION

from agent_orchestrator.agents.infrastructure.modelops.usecases import sentences
from agent_orchestrator.agents.infrastructure.modelops.usecases.conversion import (
    ConversionResult,
    ConversionStarted,
    ModelFile,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import EvaluationStarted
from agent_orchestrator.agents.infrastructure.modelops.usecases.experiments import (
    ArmContrast,
    ArmScores,
    ExperimentResult,
    ExperimentStarted,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import JobError, JobReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.run_scores import (
    RunScore,
    RunScores,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.search import (
    SearchStarted,
    TrialReport,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import TrainingStarted
from agent_orchestrator.agents.infrastructure.workflows.modelops import wording
from agent_orchestrator.cli import render


def report(kind: str, **values: Any) -> JobReport:
    """Return the report of a completed job."""
    given = {"job_id": "job_1", "kind": kind, "agent": "cicd", "status": "completed"}
    return JobReport(**(given | values))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("training", "registered as v1.1.0"),
        ("conversion", "registered as v1.1.0"),
        ("search", "the best is registered as v1.1.0"),
        ("evaluation", "its scores stand with v1.1.0"),
    ],
)
def test_only_a_job_that_made_a_version_has_registered_it(kind: str, said: str):
    """An evaluation's candidate was registered long before: it got its scores."""
    line = f"Job job_1 ({kind} for cicd): completed, {said}."
    assert sentences.standing(report(kind, version="v1.1.0")) == line


@pytest.mark.parametrize("kind", ["training", "evaluation", "conversion", "search", "experiment"])
def test_a_job_without_a_version_says_nothing_of_one(kind: str):
    """And one of nobody's model names nobody."""
    assert sentences.standing(report(kind)) == f"Job job_1 ({kind} for cicd): completed."
    assert sentences.standing(report(kind, agent="")) == f"Job job_1 ({kind}): completed."


def test_a_running_training_says_how_far_it_is():
    """In percent, with its loss; one that failed says why, and what to do."""
    running = report("training", status="running", progress_pct=40.0, current_loss=0.5)
    assert sentences.standing(running) == (
        "Job job_1 (training for cicd): running, 40 %, loss 0.5000."
    )
    assert sentences.failed(running) == ""
    error = JobError(kind="nan_loss", message="The loss is no number.", remedy="Lower it.")
    failed = report("training", status="failed", error=error)
    assert sentences.found(failed).splitlines() == [
        "Job job_1 (training for cicd): failed.",
        "nan_loss: The loss is no number. Lower it.",
    ]


def test_an_evaluation_says_what_it_found():
    """Each metric beside the baseline's, then the recommendation with its reasons."""
    assert sentences.found(report("evaluation", evaluation=EVALUATION)).splitlines()[1:] == [
        "- accuracy: 0.900 (baseline 0.800)",
        "- token_efficiency: 0.900 (baseline –)",
        "",
        "Recommendation: deploy_canary (weighted improvement +12.5 %). Better by 12.5 %.",
    ]


def test_a_conversion_says_what_it_made():
    """With its size, and why it was not measured."""
    made = ConversionResult(
        model="acme/one-Q8_0-GGUF",
        source="v1.0.0",
        quantization="Q8_0",
        folder="/a",
        files=[ModelFile(path="one.gguf", bytes=2_500_000, sha256="0" * 64)],
        parameters=1,
        tokenizer_checks=(1, 1),
        ollama_template=True,
        usage={},
        not_evaluated="not evaluated, as asked",
    )
    assert sentences.found(report("conversion", conversion=made)).splitlines()[1:] == [
        "acme/one-Q8_0-GGUF is Q8_0 of v1.0.0, 2.5 MB.",
        "Note: not evaluated, as asked.",
    ]


def test_an_experiment_says_which_arm_is_better_and_whether_that_is_settled():
    """The best first, each against the baseline."""

    def arm(name: str, accuracy: float) -> ArmScores:
        return ArmScores(
            arm=name,
            model=name,
            mode="plain",
            scores={"accuracy": accuracy},
            intervals={},
            calls=9,
            failed_calls=0,
            cached_calls=0,
            compared=True,
            avg_latency_s=None,
            avg_tokens=None,
            cost_usd=None,
        )

    contrast = ArmContrast(
        arm="new",
        metric="accuracy",
        difference=0.1,
        interval=(-0.05, 0.25),
        p_value=0.2,
        p_adjusted=0.2,
        supported=False,
        examples_needed=40,
    )
    found = ExperimentResult(
        experiment="modes",
        baseline="old",
        n_examples=9,
        repetitions=1,
        arms=[arm("old", 0.8), arm("new", 0.9)],
        contrasts=[contrast],
        reports={},
    )
    assert sentences.found(report("experiment", experiment=found)).splitlines()[1:] == [
        "- new: accuracy 0.900, +0.100 (-0.050 … +0.250), settled: no: 40 more",
        "- old: accuracy 0.800 (baseline)",
    ]


def test_a_search_counts_its_trials():
    """And those that came to a result."""
    trials = [
        TrialReport(job_id=f"t{n}", rung=1, setting={}, status="completed", value=v, cost_usd=0.0)
        for n, v in enumerate((0.5, None))
    ]
    assert sentences.found(report("search", trials=trials)).splitlines()[1:] == [
        "2 trials, 1 with a result."
    ]


STARTED = [
    (
        TrainingStarted(
            job_id="job_1",
            hub_repo="acme/m",
            dataset="ds",
            base_model="acme/base",
            estimated_cost_usd=15,
            estimated_minutes=90,
            status_url="",
            approval="ap_1",
        ),
        (
            "Training acme/m from acme/base on ds: job job_1, about 90.0 min, $15.00, under "
            "approval ap_1."
        ),
    ),
    (
        EvaluationStarted(
            job_id="job_1",
            agent="cicd",
            candidate="v1.1.0",
            baseline="v1.0.0",
            dataset="ds",
            n_examples=48,
            estimated_cost_usd=0.5,
        ),
        "Comparing v1.1.0 with v1.0.0 on 48 examples of ds: job job_1, at most $0.50.",
    ),
    (
        ExperimentStarted(
            job_id="job_1",
            experiment="modes",
            agent="",
            arms=["a", "b"],
            n_examples=9,
            runs=18,
            estimated_cost_usd=0,
            offline=False,
            uploads_to="https://ls",
        ),
        (
            "Experiment modes, 2 arms on 9 examples, 18 runs: job job_1, at most $0.00. Examples "
            "and answers go to LangSmith (https://ls)."
        ),
    ),
    (
        ConversionStarted(
            job_id="job_1",
            source="v1.0.0",
            model="acme/one-GGUF",
            quantization="Q8_0",
            output_repo=None,
            evaluated_on="ds",
        ),
        "Converting v1.0.0 to acme/one-GGUF (Q8_0), evaluated on ds: job job_1.",
    ),
    (
        SearchStarted(
            job_id="job_1",
            dataset="ds",
            base_model="acme/base",
            metric="validation_loss",
            trials=4,
            trainings=6,
            max_cost_usd=1,
            estimated_minutes=3,
            status_url="",
            approval="none needed",
        ),
        (
            "Searching 4 settings (6 trainings) of acme/base on ds, compared by validation_loss: "
            "job job_1, about 3.0 min, at most $1.00."
        ),
    ),
]


@pytest.mark.parametrize(("result", "said"), STARTED, ids=lambda one: type(one).__name__)
def test_what_was_begun_is_said_alike_in_a_conversation_and_at_a_terminal(
    result: Any, said: str, capsys: pytest.CaptureFixture[str]
):
    """One sentence for each kind of job: what, on what, its id and its price."""
    render.show(result, as_json=False)
    assert capsys.readouterr().out == f"{said}\n"
    assert wording.said(result) == said


def test_a_conversation_says_what_finished_runs_score():
    """Each metric with its interval, and what was left out."""
    found = RunScores(
        agent="cicd",
        project="prod",
        n_runs=2,
        n_groups=1,
        failed_runs=1,
        unfinished_runs=0,
        other_runs=0,
        more_runs=True,
        scores=[RunScore(metric="accuracy", mean=0.5, interval=(0.1, 0.9), n=2, lowest=[])],
        avg_latency_s=1.5,
        avg_tokens=None,
    )
    assert wording.said(found).splitlines() == [
        "2 finished runs of cicd in prod:",
        "- accuracy: 0.500 (0.100 … 0.900) over 2 runs",
        "",
        "Mean latency: 1.50 s.",
        "1 run failed.",
        "There are older ones: ask for more with max_runs.",
    ]
