"""HF Jobs as values: what was started for a job of ours, what came of it, whether it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.backends.worker_events import (
    failure_from,
    progress_from,
)
from agent_orchestrator.domain.jobs import Failure, Progress

ENDED: Final = frozenset({"COMPLETED", "CANCELED", "ERROR", "DELETED"})
#: A shorter rest is not worth a machine that takes minutes to start.
_SHORTEST_SECONDS: Final = 60.0
_TIME_IS_UP: Final = ("timeout", "timed out", "exit code: 75")
_MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is rented."""

    flavour: str
    image: str
    command: Sequence[str]
    environment: Mapping[str, str]
    """No secrets: they go by a way of their own."""
    timeout_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One HF Job: a training may take several, each from the checkpoint of the one before."""

    id: str
    stage: str
    """SCHEDULING, RUNNING, COMPLETED, CANCELED, ERROR or DELETED."""
    message: str
    """What HF Jobs says of the stage."""
    flavour: str
    created_at: float
    running_seconds: float
    """What is paid for."""
    from_step: int
    """Step of the checkpoint that it went on from; 0 for the beginning."""
    part: int
    """How often somebody has had the job resumed; each part has the job's whole time."""
    url: str

    @property
    def has_ended(self) -> bool:
        """Whether it will not run any more."""
        return self.stage in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What lies in the job's repository."""

    limits: Mapping[str, Any] | None = None
    """``max_seconds`` of a part, and the ``engine``."""
    manifest: Mapping[str, Any] | None = None
    failure: Mapping[str, Any] | None = None
    events: Sequence[dict[str, Any]] = ()
    checkpoint_step: int = 0


def seconds_used(attempts: Sequence[Attempt]) -> float:
    """Return what the machines of the job's last part have run, which is what they cost."""
    part = attempts[-1].part
    return sum(attempt.running_seconds for attempt in attempts if attempt.part == part)


def seconds_left(attempts: Sequence[Attempt], outcome: Outcome) -> float:
    """Return for how long the job may still run when it was cut off; 0 when it must not go on.

    It goes on only if the last machine got further than where it began: what fails at the same
    place again is not paid for again.
    """
    newest = attempts[-1]
    over = outcome.manifest is not None or outcome.failure is not None
    if over or newest.stage not in {"ERROR", "DELETED"} or outcome.limits is None:
        return 0.0
    if outcome.checkpoint_step <= newest.from_step:
        return 0.0
    left = float(outcome.limits["max_seconds"]) - seconds_used(attempts)
    return left if left >= _SHORTEST_SECONDS else 0.0


def ended_progress(newest: Attempt, outcome: Outcome, last_line: str, repo: str) -> Progress:
    """Return how a job ended: by what it wrote, else by what HF Jobs says."""
    if outcome.manifest is not None:
        return progress_from("completed", outcome.events, result=outcome.manifest)
    if newest.stage == "CANCELED":
        return progress_from("cancelled", outcome.events)
    if outcome.failure is not None:
        return progress_from("failed", outcome.events, failure=failure_from(outcome.failure))
    return progress_from(
        "failed", outcome.events, failure=_cut_off(newest, outcome, last_line, repo)
    )


def _cut_off(newest: Attempt, outcome: Outcome, last_line: str, repo: str) -> Failure:
    said = newest.message or f"stage {newest.stage}"
    step = outcome.checkpoint_step
    kept = f" The checkpoint of step {step} is kept in {repo}." if step else ""
    if any(words in said.lower() for words in _TIME_IS_UP):
        return Failure(
            "timeout",
            f"Its time on HF Jobs was over ({said}).{kept}",
            "Resume it (`chef resume`); else raise limits.max_hours in "
            "config/modelops/training_defaults.yaml, or train fewer steps.",
        )
    if newest.stage == "DELETED":
        return Failure("killed", f"The HF Job was deleted.{kept}", "Submit the job again.")
    word = f" Its last line: {last_line[:300]}" if last_line else ""
    return Failure(
        "killed",
        f"HF Jobs ended it without a diagnosis: {said}.{word}{kept}",
        f"Read its log: {newest.url}",
    )


def machine_message(metrics: Mapping[str, Any]) -> str | None:
    """Return what a machine does, in words: its first GPU, else its processor and memory.

    None for a sample in a form that is not known here.
    """
    try:
        for gpu in (metrics.get("gpus") or {}).values():
            return f"GPU {gpu['utilization']:.0f} %, {_memory(gpu)}"
        return f"CPU {metrics['cpu_usage_pct']:.0f} %, {_memory(metrics)}"
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _memory(sample: Mapping[str, Any]) -> str:
    used, total = (sample[f"memory_{name}_bytes"] / _MEBIBYTE for name in ("used", "total"))
    return f"{used:,.0f} of {total:,.0f} MiB"
