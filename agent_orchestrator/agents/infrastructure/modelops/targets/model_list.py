"""``GET <base URL>/models``: what an OpenAI-compatible server says it serves."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_orchestrator.errors import ConfigurationError, InputError, UpstreamError

if TYPE_CHECKING:
    import httpx2

_SECONDS = 10.0
_OK = 200
_NOTHING_THERE = {404, 405, 501}
_UNAUTHORISED = {401, 403}
_SHOWN = 5


class NoModelListError(InputError):
    """Nothing answers at the place where a server lists its models."""


@dataclass(frozen=True, slots=True)
class ModelList:
    """The answer."""

    base_url: str
    models: Mapping[str, Mapping[str, Any]]
    """Model id → its entry."""
    server: str
    """The response's ``Server`` header, in lower case."""


def fetch_model_list(
    base_url: str,
    key: str | None,
    key_name: str | None,
    *,
    unreachable: str = "Start that server, or correct its URL.",
) -> ModelList:
    """Ask a server what it serves; ``base_url`` goes up to and including ``/v1``.

    ``unreachable`` is the remedy when nobody can be reached there.

    Raises UpstreamError when it does not answer in 10 s or has a fault, ConfigurationError when it
    refuses the key (``key_name`` is the variable that holds it), NoModelListError when there is
    nothing at that place, InputError for something else than a list.
    """
    import httpx2  # noqa: PLC0415 - only planning a deployment needs it, and it loads slowly

    url = f"{base_url.rstrip('/')}/models"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        response = httpx2.get(url, headers=headers, timeout=_SECONDS)
    except httpx2.TimeoutException:
        raise UpstreamError(
            f"{url} did not answer within {_SECONDS:g} s.", remedy="Look at that server; try again."
        ) from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise UpstreamError(f"{url} cannot be reached: {error}.", remedy=unreachable) from error
    if response.status_code in _UNAUTHORISED:
        named = f"Put a valid key into the variable {key_name}." if key_name else ""
        raise ConfigurationError(
            f"{url} answered with status {response.status_code}: the key is missing or refused.",
            remedy=named or "Name the variable that holds its key (api_key_env).",
        )
    if response.status_code >= 500:  # noqa: PLR2004
        raise UpstreamError(
            f"{url} answered with status {response.status_code}.",
            remedy="Look at that server's log; try again.",
        )
    if response.status_code in _NOTHING_THERE:
        raise NoModelListError(
            f"{url} answered with status {response.status_code}: no models are listed there.",
            remedy="Give the base URL up to and including /v1, e.g. http://host:8000/v1.",
        )
    return ModelList(base_url, _entries(response, url), response.headers.get("server", "").lower())


def _entries(response: httpx2.Response, url: str) -> dict[str, Mapping[str, Any]]:
    """Return id → entry of the answer: ``{"data": [{"id": …}, …]}``, or null from an empty one."""
    try:
        if response.status_code == _OK:
            return {str(entry["id"]): dict(entry) for entry in response.json()["data"] or ()}
    except (ValueError, TypeError, KeyError):
        pass
    raise InputError(
        f"{url} is no list of models (status {response.status_code}): no OpenAI-compatible server "
        "answers there.",
        remedy="Give its base URL up to and including /v1, e.g. http://host:8000/v1.",
    )


def no_such_model(model: str, known: Sequence[str], where: str, remedy: str) -> InputError:
    """Return the error for a model that ``where`` has not got, with the nearest that it has."""
    near = difflib.get_close_matches(model, known, n=_SHOWN, cutoff=0.5)
    if near:
        hint = f"Near it: {', '.join(near)}."
    elif known:
        rest = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        hint = f"It has {', '.join(known[:_SHOWN])}{rest}."
    else:
        hint = "It has none."
    return InputError(f"{where} has no model {model!r}. {hint}", remedy=remedy)
