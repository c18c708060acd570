"""What HF Jobs say, as where a job of ours stands and whether it goes on."""

from __future__ import annotations

from typing import Any

import pytest

from agent_orchestrator.agents.infrastructure.modelops.backends.job_attempts import (
    Attempt,
    Outcome,
    ended_progress,
    machine_message,
    seconds_left,
)

MANIFEST = {"job_id": "job_1", "weights_sha256": "ab"}
FAILURE = {"kind": "nan_loss", "message": "The loss is not a number.", "remedy": "Lower it."}
LIMITS = {"max_seconds": 3600}


def attempt(stage: str = "ERROR", message: str = "", **changes: Any) -> Attempt:
    """Return an HF Job."""
    values: dict[str, Any] = {
        "id": "1",
        "stage": stage,
        "message": message,
        "flavour": "t4-small",
        "created_at": 1.0,
        "running_seconds": 600.0,
        "from_step": 0,
        "part": 0,
        "url": "https://hub/jobs/1",
    }
    return Attempt(**{**values, **changes})


@pytest.mark.parametrize(
    ("newest", "outcome", "status", "kind", "said"),
    [
        (attempt("COMPLETED", ""), {"manifest": MANIFEST}, "completed", None, ""),
        (attempt("ERROR", "Job timeout"), {"manifest": MANIFEST}, "completed", None, ""),
        (
            attempt("ERROR", "exit code: 1"),
            {"failure": FAILURE},
            "failed",
            "nan_loss",
            "not a number",
        ),
        (attempt("CANCELED", ""), {"checkpoint_step": 3}, "cancelled", None, ""),
        (attempt("ERROR", "Job timeout"), {}, "failed", "timeout", "Its time on HF Jobs was over"),
        (
            attempt("ERROR", "Job failed with exit code: 75"),
            {},
            "failed",
            "timeout",
            "time on HF Jobs",
        ),
        (
            attempt("ERROR", "Job timeout"),
            {"checkpoint_step": 7},
            "failed",
            "timeout",
            "of step 7 is kept",
        ),
        (
            attempt("ERROR", "ImagePullBackOff"),
            {},
            "failed",
            "killed",
            "diagnosis: ImagePullBackOff. Its",
        ),
        (attempt("DELETED", ""), {}, "failed", "killed", "was deleted"),
        (attempt("COMPLETED", ""), {}, "failed", "killed", "without a diagnosis: stage COMPLETED"),
    ],
)
def test_how_a_job_ended(
    newest: Attempt, outcome: dict[str, Any], status: str, kind: str | None, said: str
):
    """What it wrote counts; only without it what the service says."""
    progress = ended_progress(newest, Outcome(**outcome), "pip: no", "acme/job")
    assert progress.status == status
    assert (progress.failure.kind if progress.failure else None) == kind
    if progress.failure:
        assert said in progress.failure.message
        assert progress.failure.remedy


@pytest.mark.parametrize(
    ("attempts", "outcome", "left"),
    [
        ([attempt()], {"checkpoint_step": 5}, 3000.0),
        ([attempt("DELETED")], {"checkpoint_step": 5}, 3000.0),
        ([attempt(), attempt(from_step=5)], {"checkpoint_step": 6}, 2400.0),
        ([attempt(), attempt(part=1)], {"checkpoint_step": 6}, 3000.0),  # resumed by somebody
        ([attempt(from_step=5)], {"checkpoint_step": 5}, 0.0),  # it got no further
        ([attempt()], {}, 0.0),  # nothing to go on from
        ([attempt(running_seconds=3590.0)], {"checkpoint_step": 5}, 0.0),  # too little time
        ([attempt()], {"checkpoint_step": 5, "failure": FAILURE}, 0.0),
        ([attempt()], {"checkpoint_step": 5, "manifest": MANIFEST}, 0.0),
        ([attempt("CANCELED")], {"checkpoint_step": 5}, 0.0),
        ([attempt("COMPLETED")], {"checkpoint_step": 5}, 0.0),
        ([attempt()], {"checkpoint_step": 5, "limits": None}, 0.0),
    ],
)
def test_a_job_that_was_cut_off_goes_on_for_what_is_left(
    attempts: list[Attempt], outcome: dict[str, Any], left: float
):
    """All machines together stay within the limit, and none repeats another's way for nothing."""
    assert seconds_left(attempts, Outcome(**{"limits": LIMITS, **outcome})) == left


def test_what_a_machine_does_is_said():
    """The GPU where there is one."""
    gpu = {"utilization": 97, "memory_used_bytes": 2**30, "memory_total_bytes": 2**34}
    both = {"cpu_usage_pct": 50, "memory_used_bytes": 2**20, "memory_total_bytes": 2**21}
    assert machine_message({**both, "gpus": {"a": gpu}}) == "GPU 97 %, 1,024 of 16,384 MiB"
    assert machine_message({**both, "gpus": {}}) == "CPU 50 %, 1 of 2 MiB"
    strange: list[dict[str, Any]] = [
        {},
        {"gpus": {"a": {}}},
        {"gpus": [1]},
        {"cpu_usage_pct": "much"},
    ]
    for unknown in strange:
        assert machine_message(unknown) is None
