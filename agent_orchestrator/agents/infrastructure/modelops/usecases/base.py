"""What all use cases share: the bases of their requests and results."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Percent = Annotated[int, Field(ge=1, le=100)]


Rate = Annotated[float, Field(ge=0, le=1)]


class Request(BaseModel):
    """Base of all requests: frozen, and an unknown field is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, defer_build=True
    )


class ChangingRequest(Request):
    """A request that spends money or changes something; a dry run says what it would do."""

    dry_run: bool = False
    """Only say what would happen."""


class Result(BaseModel):
    """Base of all results."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class PlannedChange(Result):
    """What a dry run answers: nothing has changed."""

    dry_run: Literal[True] = True
    summary: str
    """One line: what would happen."""
    estimated_cost_usd: float = 0.0
    cost_is_per_hour: bool = False
    """Whether that is the price of every hour from then on."""
    estimated_minutes: float | None = None
    """How long a job would take, where that can be told."""
    approval_needed: bool = False
    afterwards: str | None = None
    """What would usually come next, at its price."""
    objection: str | None = None
    """Why it would be refused as it stands, and what is needed; None where it may be done."""
    details: dict[str, Any] = {}
