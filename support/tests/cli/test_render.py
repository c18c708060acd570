"""How results look to people: nothing is lost, nothing is read as markup, nothing says None."""

import contextlib
import io
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import (
    DatasetBuilt,
    Finding,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    Deployed,
    DeployedArm,
    DrillReport,
    ProcessDrill,
    RolledBack,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.endpoints import (
    EndpointList,
    EndpointReport,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import (
    EvaluationResult,
    MetricResult,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import JobReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import (
    ArmStatus,
    BreakerReset,
    DecisionRecord,
    GuardrailStatus,
    RolloutReport,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.simulation import CanarySimulated
from agent_orchestrator.cli import failures, render, session, tables
from agent_orchestrator.cli.progress import JobProgress
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import GateFailed

EVALUATION = EvaluationResult(
    agent="cicd",
    candidate="v1.1.0",
    baseline="v1.0.0",
    scores={},
    improvement_pct=12.5,
    changes=[
        MetricResult(
            metric="accuracy",
            baseline=0.8,
            candidate=0.9,
            change_pct=12.5,
            difference=0.1,
            interval=(0.02, 0.18),
            supported=True,
        ),
        MetricResult(
            metric="token_efficiency",
            baseline=None,
            candidate=0.9,
            change_pct=None,
            difference=None,
            interval=None,
            supported=None,
        ),
    ],
    recommendation="deploy_canary",
    reasons=["Better by 12.5 %."],
    n_examples=48,
    failed_calls={},
    examples_needed=None,
    experiment_url=None,
    reports={"html": "/reports/r.html"},
)
ROLLOUT = RolloutReport(
    agent="cicd",
    rollout_id="ro_1",
    strategy="canary",
    phase="running",
    steps=[20, 100],
    weight=20,
    reason="Waits for evidence.",
    arms=[
        ArmStatus(
            arm="candidate",
            version="v1.1.0",
            model="acme/two",
            asked_pct=20,
            realised_pct=None,
            requests=0,
            errors=0,
            health="open",
            trip_reason="timeout",
        )
    ],
    verdict=Verdict.INCONCLUSIVE,
    verdict_reason="Too little [data].",
    guardrails=[
        GuardrailStatus(
            guardrail="error",
            verdict=Verdict.INCONCLUSIVE,
            candidate_n=0,
            stable_n=12,
            candidate_rate=None,
            stable_rate=0.25,
            e_value=math.inf,
            threshold=20.0,
            lower_bound=-math.inf,
            look=0,
        )
    ],
    decisions=[DecisionRecord(at=0.0, actor="ada", kind="started", message="Started.")],
)

NO_COORDINATOR: Any = None
DRILL = DrillReport(
    verdict=Verdict.FAIL,
    message="Did not follow within 5 s: gateway-2.",
    at=0.0,
    away_s=5.0,
    processes=[
        ProcessDrill(process="gateway-1", in_effect_s=0.0421, last_answer_s=1.5, under_way=3),
        ProcessDrill(process="gateway-2", in_effect_s=None, last_answer_s=None),
    ],
)
DRILLED = (
    "Drill at 1970-01-01 00:00:00: fail. Did not follow within 5 s: gateway-2.",
    "the split was away for 5.000 s",
    "gateway-1 │ 0.042 s │ 1.500 s │ 3",
    "gateway-2 │ – │ – │ 0",
)
REHEARSED = RolledBack(agent="cicd", version=None, model="acme/one", seconds=0.1, drill=DRILL)


@pytest.mark.parametrize(
    ("result", "texts"),
    [
        (
            EVALUATION,
            (
                "v1.1.0 against v1.0.0 on 48 examples",
                "0.800",
                "+12.5 %",
                "+0.020 … +0.180",
                "Recommendation: deploy_canary (weighted improvement +12.5 %)",
                "- Better by 12.5 %.",
                "html: /reports/r.html",
            ),
        ),
        (
            ROLLOUT,
            (
                "Rollout ro_1 of cicd (canary): running, 20 % candidate, steps 20 → 100.",
                "Waits for evidence.",
                "open timeout",
                f"Verdict: {Verdict.INCONCLUSIVE.value}. Too little [data].",
                "– of 0",
                "0.250 of 12",
                "1970-01-01 00:00:00 ada: Started.",
            ),
        ),
        (ROLLOUT.model_copy(update={"verdict": None}), ("No verdict yet.",)),
        (
            DatasetBuilt(
                dataset="d-1",
                agent="cicd",
                counts={"train": 4, "eval": 1},
                dataset_hash="ab",
                findings=[Finding(kind="k", count=1, message="One [x].", suggestion="Mend it.")],
                path="/d",
            ),
            ("Data set d-1 for cicd: 4 train, 1 eval.", "sha256 ab", "- One [x]. Mend it."),
        ),
        (
            RolledBack(agent="cicd", version=None, model="acme/one", seconds=0.123),
            ("cicd is served by acme/one again after 0.12 s.",),
        ),
        (REHEARSED, DRILLED),
        (ROLLOUT.model_copy(update={"drilled": DRILL}), DRILLED),
        (
            Deployed(
                agent="cicd",
                deployed=True,
                version="v1.1.0",
                model="acme/two",
                rollout_id="ro_1",
                rollout_pct=20,
                arms=[
                    DeployedArm(arm="stable", version=None, model="acme/one", weight_pct=80),
                    DeployedArm(arm="candidate", version="v1.1.0", model="acme/two", weight_pct=20),
                ],
                endpoint_url="http://127.0.0.1:8130/v1",
                checklist=[],
                drill=DRILL,
            ),
            ("v1.1.0 has 20 % of the traffic of cicd", *DRILLED),
        ),
        (
            CanarySimulated(
                rollback_rate=0.5,
                promotion_rate=0.25,
                undecided_rate=0.25,
                median_candidate_requests=None,
                p90_candidate_requests=140.0,
                expected_requests=1000.4,
                expected_errors=10.2,
                sprt_median=None,
                wald_requests=None,
                expected_days=2.5,
            ),
            (
                "Rolled back 50.0%",
                "median –, 90 % within 140",
                "both rates: median –",
                "1000 requests of both arms, 2.5 days",
            ),
        ),
        (
            JobReport(
                job_id="job_1",
                kind="evaluation",
                agent="cicd",
                status="running",
                progress_pct=41.0,
                evaluation=EVALUATION,
            ),
            ("Job job_1 (evaluation for cicd): running, 41 %.", "Recommendation: deploy_canary"),
        ),
        (
            BreakerReset(agent="cicd", arm="stable", health="open"),
            ("agent: cicd", "arm: stable", "health: open"),
        ),
    ],
)
def test_a_result_says_all_that_it_has(
    result: Any, texts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
):
    """Without a terminal too, where tables keep their width."""
    render.show(result, as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    for text in texts:
        assert text in shown
    assert "None" not in shown


@pytest.mark.parametrize("result", [EVALUATION, ROLLOUT])
def test_the_document_is_the_result(result: Any, capsys: pytest.CaptureFixture[str]):
    """One line of JSON that reads back."""
    render.show(result.model_copy(update={"guardrails": []}), as_json=True)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert type(result).model_validate_json(out)


async def test_a_drill_that_failed_ends_the_command_as_failed(capsys: pytest.CaptureFixture[str]):
    """Its report is printed first; one that passed ends well."""
    with pytest.raises(failures.ShownFailure, match="gateway-2") as raised:
        await session.finish(NO_COORDINATOR, REHEARSED, as_json=False, wait=False)
    assert raised.value.exit_code == 1
    assert "gateway-1" in capsys.readouterr().out
    passed = DRILL.model_copy(update={"verdict": Verdict.PASS})
    result = REHEARSED.model_copy(update={"drill": passed})
    await session.finish(NO_COORDINATOR, result, as_json=False, wait=False)


@pytest.mark.parametrize("as_json", [False, True])
async def test_a_deployment_whose_drill_failed_warns_and_ends_well(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
):
    """It serves all the same; the warning is on stderr, so that machines read one document."""
    deployed = Deployed(
        deployed=True,
        agent="cicd",
        version="v1.1.0",
        model="acme/two",
        rollout_id="ro_1",
        rollout_pct=20,
        arms=[],
        endpoint_url="http://127.0.0.1:8130/v1",
        checklist=[],
        drill=DRILL,
    )
    await session.finish(NO_COORDINATOR, deployed, as_json=as_json, wait=False)
    said = capsys.readouterr().err
    assert said.startswith("WARNING: the deployment serves, but its rollback drill did not succeed")
    assert "chef rollback cicd --drill" in said
    passed = DRILL.model_copy(update={"verdict": Verdict.PASS})
    quiet = deployed.model_copy(update={"drill": passed})
    await session.finish(NO_COORDINATOR, quiet, as_json=as_json, wait=False)
    assert capsys.readouterr().err == ""


@given(st.text(st.characters(blacklist_categories=("C", "Z")), min_size=1, max_size=20))
def test_names_are_never_read_as_markup(text: str):
    """What looks like a tag is shown as it is."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        tables.table(f"[bold]{text}", ("[red]",), [(f"[/]{text}",), (None,)])
    shown = out.getvalue()
    assert f"[bold]{text}" in shown
    assert f"[/]{text}" in shown
    assert "[red]" in shown


def test_progress_is_one_line_a_tenth_where_nobody_watches(capsys: pytest.CaptureFixture[str]):
    """A log does not fill with bars."""
    job = JobReport(job_id="job_1", kind="training", agent="cicd", status="running")
    with JobProgress() as progress:
        progress.update(job)
        for step in range(1, 101):
            known = {"progress_pct": float(step), "message": "training", "eta_minutes": 0.5}
            progress.update(job.model_copy(update=known))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "running"
    assert lines[1] == "training 0 % 30 s left"
    assert len(lines) == 12, lines


def test_a_failed_checklist_is_shown_whole(capsys: pytest.CaptureFixture[str]):
    """Every point that was looked at, on stderr; for machines in the one document on stdout."""
    points = [("loads", "pass", "First answer after 1 s."), ("batch", "fail", "overloaded")]
    error = GateFailed("It did not pass: batch: overloaded", remedy="Mend it.", checklist=points)
    failures.show(error, as_json=False)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "First answer after 1 s." in shown.err
    assert shown.err.endswith("Error: It did not pass: batch: overloaded Mend it.\n")
    failures.show(error, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["error"] == "GateFailed"
    assert document["checklist"][1] == {"name": "batch", "verdict": "fail", "message": "overloaded"}


def test_a_single_point_is_told_in_the_one_line(capsys: pytest.CaptureFixture[str]):
    """A table of one row would say it twice."""
    error = GateFailed("Not evaluated.", checklist=[("evaluation", "fail", "Not evaluated.")])
    failures.show(error, as_json=False)
    assert capsys.readouterr().err == "Error: Not evaluated.\n"


def test_endpoints_are_shown_with_what_they_cost(capsys: pytest.CaptureFixture[str]):
    """One row each; a price that nobody knows is a dash."""
    known = {"name": "coder-1", "model": "acme/coder", "url": None, "instance": "aws-x1"}
    render.show(
        EndpointList(
            namespace="acme",
            endpoints=[
                EndpointReport(**known, status="running", usd_per_hour=0.8, serves=["cicd"]),
                EndpointReport(**known, status="scaledToZero", usd_per_hour=None, serves=[]),
            ],
        ),
        as_json=False,
    )
    title, *_, runs, asleep, _ = capsys.readouterr().out.splitlines()
    assert title.strip() == "Inference Endpoints of acme"
    assert all(text in runs for text in ("running", "$0.80", "cicd"))
    assert "scaledToZero" in asleep
    assert asleep.count("–") == 2
