"""Why an upstream gave no (whole) answer: all that can go wrong in a call, as one exception."""

from __future__ import annotations

from agent_orchestrator.domain.outcomes import ErrorKind
from agent_orchestrator.errors import UpstreamError

#: Client errors that say nothing about the request: key, money, permission, time, rate.
_OF_THE_CALLER = {401, 402, 403, 408, 429}


class UpstreamFailure(UpstreamError):  # noqa: N818 - a finding about the arm that we count
    """A call that gave no (whole) answer.

    ``retryable``: another model may do better; False when the upstream finds fault with the
    request itself (status 400, 413 or 422), which is no failing of the model. ``status`` and
    ``body`` are the upstream's answer where there was one.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind,
        remedy: str = "",
        retryable: bool = True,
        status: int | None = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.kind = kind
        self.retryable = retryable
        self.status = status
        self.body = body


def is_refusal(error: UpstreamError) -> bool:
    """Return whether the upstream clearly refused what it was asked: a status 4xx about that."""
    status = error.status if isinstance(error, UpstreamFailure) else None
    return status is not None and status // 100 == 4 and status not in _OF_THE_CALLER  # noqa: PLR2004
