"""Records of a rollout as its evidence reads them, for tests that write them down."""

from agent_orchestrator.domain.outcomes import (
    FeedbackKind,
    Judged,
    NoAnswer,
    Outcome,
    Recorded,
    Role,
)

_MODELS = {"stable": "a/b", "challenger_2": "a/d"}


def outcome(
    seq: int,
    arm: str,
    *,
    error: NoAnswer | None = None,
    valid: bool | None = True,
    seconds: float = 0.2,
    role: Role = "serve",
    attempt: int = 0,
    task: str | None = None,
    model: str | None = None,
) -> Recorded:
    """Record one attempt, of a task of its own if not told; it ends at second ``seq``."""
    return Recorded(
        seq,
        Outcome(
            request_id=f"r{seq}",
            attempt=attempt,
            at=float(seq),
            agent="code_review",
            task_id=task or f"t{seq}",
            model=model or _MODELS.get(arm, "a/c"),
            arm=arm,
            version=None,
            rollout_id="ro_1",
            latency_ms=1000.0 * seconds,
            error=error,
            valid_output=None if error else valid,
            role=role,
        ),
    )


def judged(
    seq: int,
    arm: str,
    score: float,
    *,
    outcome_seq: int | None = None,
    kind: FeedbackKind = "quality",
) -> Judged:
    """Judge an answer, outcome ``seq`` if not told which, at second ``seq``."""
    return Judged(
        seq=seq,
        outcome_seq=seq if outcome_seq is None else outcome_seq,
        arm=arm,
        version=None,
        score=score,
        at=float(seq),
        kind=kind,
    )
