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
    approval_needed: bool = False
    details: dict[str, Any] = {}
