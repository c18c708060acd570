"""Calls of a Space's app: retried where that is safe, which is everywhere, and explained.

Submitting and cancelling are idempotent by the job's id, so that a request whose answer was lost
may be sent again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from pydantic import TypeAdapter, ValidationError

from agent_orchestrator.agents.infrastructure.modelops.backends.space_protocol import (
    HEADER,
    HUB_AUTHORIZATION,
    PROTOCOL,
)
from agent_orchestrator.errors import (
    ChefError,
    ConfigurationError,
    FailedError,
    InputError,
    NotFoundError,
    StorageError,
    UnavailableError,
)

_AGAIN: Final = frozenset({408, 429, 502, 503, 504})
_UNAUTHORISED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404
_REFUSED: Final = 400
_HUB_HOSTS: Final = ".hf.space"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often, and after which pauses, a call is made again."""

    attempts: int = 3
    first_pause_s: float = 0.5
    longest_pause_s: float = 15.0

    def pause(self, attempt: int, asked: float | None, share: float) -> float:
        """Return the seconds to wait after the ``attempt``-th failure, counted from 0.

        ``asked`` is the server's Retry-After; ``share``, 0 to 1, is the jitter: half of the pause
        and that much of its other half.
        """
        pause = min(self.longest_pause_s, self.first_pause_s * 2.0**attempt)
        pause *= 0.5 + share / 2
        return max(pause, min(asked or 0.0, self.longest_pause_s))


@dataclass(frozen=True, slots=True)
class SpaceClient:
    """The app at one URL. Safe to use from several threads."""

    url: str
    token: str | None = field(repr=False)
    """What the app asks for."""
    hub_token: str | None = field(default=None, repr=False)
    """What the Hub asks for in front of a private Space; sent to ``*.hf.space`` alone."""
    patience: Patience = Patience()
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def get(self, path: str, **query: Any) -> httpx2.Response:
        """GET. Raises as ``call``."""
        return self.call("GET", path, params=query)

    def call(
        self, method: str, path: str, *, accepted: frozenset[int] = frozenset(), **arguments: Any
    ) -> httpx2.Response:
        """Return the app's answer, of a status below 400 or ``accepted``.

        Raises ConfigurationError (no such Space, a token refused), NotFoundError, InputError (the
        app refused the request), StorageError (its disk is full), UnavailableError.
        """
        with self._client() as client:
            return self._repeated(lambda: client.request(method, path, **arguments), accepted)

    def read(self, kind: TypeAdapter[Any], body: bytes) -> Any:
        """Return a body as what it should be. Raises FailedError: the app is of another version."""
        try:
            return kind.validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise FailedError(
                f"The Space's answer is not understood: {first['loc']}: {first['msg']}.",
                remedy="Deploy the Space again, so that both are of one version.",
            ) from None

    @contextmanager
    def stream(self, path: str, first_byte: int) -> Iterator[httpx2.Response]:
        """Open a file from ``first_byte`` on. Raises as ``call``; httpx2.TransportError later."""
        headers = {"Range": f"bytes={first_byte}-"} if first_byte else {}
        with self._client() as client:

            def send() -> httpx2.Response:
                request = client.build_request("GET", path, headers=headers)
                return client.send(request, stream=True)

            response = self._repeated(send)
            try:
                yield response
            finally:
                response.close()

    def _client(self) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        place = urlsplit(self.url)
        on_the_hub = place.scheme == "https" and (place.hostname or "").endswith(_HUB_HOSTS)
        if self.hub_token and on_the_hub:
            headers[HUB_AUTHORIZATION] = f"Bearer {self.hub_token}"
        timeout = httpx2.Timeout(connect=10.0, read=60.0, write=60.0, pool=10.0)
        return httpx2.Client(base_url=self.url.rstrip("/"), headers=headers, timeout=timeout)

    def _repeated(
        self, send: Callable[[], httpx2.Response], accepted: frozenset[int] = frozenset()
    ) -> httpx2.Response:
        """Send until there is an answer that another attempt would not change."""
        attempt = 0
        while True:
            last = attempt + 1 >= self.patience.attempts
            asked = None
            try:
                response = send()
            except httpx2.TransportError as error:
                if last:
                    raise self._unreachable(error) from error
            else:
                if response.status_code in accepted and HEADER in response.headers:
                    return response
                # The app means what it says; whoever stands before it may have a better moment.
                if last or HEADER in response.headers or response.status_code not in _AGAIN:
                    return self._checked(response)
                asked = _seconds(response.headers.get("Retry-After"))
                response.close()
            self.sleep(self.patience.pause(attempt, asked, self.jitter()))
            attempt += 1

    def _checked(self, response: httpx2.Response) -> httpx2.Response:
        """Return an answer of the app that is none of an error."""
        spoken = response.headers.get(HEADER)
        if spoken == PROTOCOL and response.status_code < _REFUSED:
            return response
        response.read()
        response.close()
        if spoken is None:
            raise self._not_the_app(response.status_code)
        if spoken != PROTOCOL:
            raise ConfigurationError(
                f"The Space speaks protocol {spoken!r}, not {PROTOCOL!r}.",
                remedy="Deploy it again (`chef space deploy`).",
            )
        raise self._error(response)

    def _error(self, response: httpx2.Response) -> ChefError:
        """Return the app's error as ours."""
        try:
            told = response.json()
            message, remedy = str(told["message"]), str(told["remedy"])
        except (ValueError, LookupError, TypeError):
            message, remedy = f"The Space answered {response.status_code}.", ""
        status = response.status_code
        if status in _UNAUTHORISED:
            return ConfigurationError(
                f"The Space at {self.url} refused us: {message}", remedy=remedy
            )
        kinds: dict[int, type[ChefError]] = {
            404: NotFoundError,
            408: UnavailableError,
            413: InputError,
            422: InputError,
            429: UnavailableError,
            503: UnavailableError,
            507: StorageError,
        }
        if status == httpx2.codes.CONTENT_TOO_LARGE:
            message = "The training request is larger than the Space takes."
            remedy = "Use fewer examples, or raise CHEF_SPACE_UPLOAD_MB there."
        return kinds.get(status, FailedError)(message, remedy=remedy)

    def _not_the_app(self, status: int) -> ChefError:
        """Return what it means that somebody else answered: the Hub, for a Space of its own."""
        if status in _UNAUTHORISED or status == _NOT_FOUND:
            return ConfigurationError(
                f"No training Space answers at MODELOPS_SPACE_URL={self.url!r} ({status}).",
                remedy="Correct the URL; a private Space needs HUGGINGFACE_TOKEN to be read.",
            )
        return UnavailableError(
            f"The Space at {self.url} is asleep, being built, paused or broken ({status}).",
            remedy="Its status says which (`chef space status`); this call wakes a sleeping one.",
        )

    def _unreachable(self, error: httpx2.TransportError) -> UnavailableError:
        said = " ".join(str(error).split()) or type(error).__name__
        return UnavailableError(
            f"The Space at {self.url} cannot be reached: {said}.",
            remedy="Look whether it runs (`chef space status`) and whether MODELOPS_SPACE_URL is"
            " right.",
        )


def _seconds(header: str | None) -> float | None:
    """Return a Retry-After in seconds; a date is not taken."""
    return float(header) if header and header.isascii() and header.isdigit() else None
