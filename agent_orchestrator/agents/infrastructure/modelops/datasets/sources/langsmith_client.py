"""The LangSmith client as sources use it: made when first needed, its errors ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from langsmith import APIError, AuthenticationError, Client, PermissionDeniedError
from langsmith.utils import LangSmithAuthError, LangSmithError, LangSmithNotFoundError

from agent_orchestrator.errors import DatasetError, SettingsError, UpstreamError

Connect = Callable[[], Client]
"""Makes a client; SettingsError without a key."""


def connect(endpoint: str, api_key: str | None) -> Client:
    """Return a client that reads and never traces. Raises SettingsError without a key."""
    if not api_key:
        raise SettingsError(
            "LangSmith cannot be read without a key.",
            remedy="Set LANGSMITH_API_KEY, or name a file or the Hub as the source.",
        )
    return Client(
        api_url=endpoint, api_key=api_key, auto_batch_tracing=False, tracing_sampling_rate=0.0
    )


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn the client's errors while reading ``what`` into ours.

    Raises SettingsError for a key that is refused, DatasetError for what is not there,
    UpstreamError for everything else.
    """
    try:
        yield
    except (LangSmithAuthError, AuthenticationError, PermissionDeniedError) as error:
        raise SettingsError(
            f"LangSmith refuses the key for {what}.", remedy="Check LANGSMITH_API_KEY."
        ) from error
    except LangSmithNotFoundError as error:
        raise DatasetError(
            f"LangSmith has no {what}.", remedy="Check its name, and the key's workspace."
        ) from error
    except (LangSmithError, APIError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UpstreamError(
            f"LangSmith did not give {what}: {reason[:200]}.", remedy="Try again later."
        ) from error
