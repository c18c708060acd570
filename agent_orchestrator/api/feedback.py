"""Judgements on answers that were served. They count in verdicts, under the judge's own name."""

from __future__ import annotations

import time
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent_orchestrator.api.auth import Changer
from agent_orchestrator.api.services import Wired
from agent_orchestrator.domain.outcomes import Feedback

router = APIRouter(prefix="/feedback", tags=["feedback"])

_THUMBS = {"up": 1.0, "down": 0.0}


class GivenFeedback(BaseModel):
    """A judgement: a score, or a thumb."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    request_id: str = Field(min_length=1, max_length=100)
    """The ``X-Request-Id`` of the answer."""
    score: float | None = Field(default=None, ge=0, le=1)
    """0 (bad) to 1 (good)."""
    thumbs: Literal["up", "down"] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> GivenFeedback:
        if (self.score is None) == (self.thumbs is None):
            raise ValueError("give a score or thumbs, not both")
        return self

    def value(self) -> float:
        """Return the score."""
        return self.score if self.score is not None else _THUMBS[self.thumbs or "down"]


class KeptFeedback(BaseModel):
    """A judgement that was kept."""

    request_id: str
    score: float
    source: str


@router.post("", operation_id="give_feedback", status_code=201)
def give(given: GivenFeedback, caller: Changer, services: Wired) -> KeptFeedback:
    """Judge an answer, once; ``conflict-error`` the second time."""
    kept = Feedback(given.request_id, given.value(), caller.name, time.time())
    services.embedded.outcomes.add_feedback(kept)
    return KeptFeedback(request_id=kept.request_id, score=kept.score, source=kept.source)
