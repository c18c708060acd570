"""``Idempotency-Key``: a request that is sent again is answered again, not carried out again.

After the IETF's draft *The Idempotency-Key HTTP Header Field* (draft-ietf-httpapi-idempotency-key-
header). The same key with the same request, of the same caller, gives the first answer, also over
a restart; with another request it is refused (422), and while the first is under way (409). What
was refused before anything was done (not allowed, not found, not now …) is not kept: its key is
free again. Keys are kept for a day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Header, Request, Response

from agent_orchestrator.api import problems
from agent_orchestrator.api.answers import Answers
from agent_orchestrator.api.auth import Authenticated
from agent_orchestrator.api.services import Wired
from agent_orchestrator.errors import FailedError
from agent_orchestrator.stores.kept_answers import Claim, KeptAnswer

REPLAYED: Final = "Idempotent-Replayed"
"""Header of an answer that was given before."""


@dataclass(frozen=True, slots=True)
class OnceOnly:
    """Answers a request: once, if it has a key."""

    answers: Answers
    claim: Claim | None

    async def answered(self, work: Callable[[], Awaitable[Response]]) -> Response:
        """Return the answer of ``work``, or the one that it gave before; raises what it raises."""
        if self.claim is None:
            return await work()
        async with self.answers.claimed(self.claim) as turn:
            if turn.kept is not None:
                return replayed(turn.kept)
            try:
                response = await work()
            except FailedError as failed:  # it was tried: that is an answer
                response = problems.response(problems.of_error(failed))
            await turn.keep(_kept(response))
            return response

    async def streamed(
        self,
        work: Callable[[], Awaitable[tuple[Response, str]]],
        again: Callable[[str], Awaitable[Response]],
    ) -> Response:
        """Return a stream. Of it a mark is kept, from which ``again`` makes it anew."""
        if self.claim is None:
            return (await work())[0]
        async with self.answers.claimed(self.claim) as turn:
            if turn.kept is not None:
                response = await again(turn.kept.body)
                response.headers[REPLAYED] = "true"
                return response
            response, mark = await work()
            await turn.keep(KeptAnswer(response.status_code, response.media_type or "", mark))
            return response


def replayed(kept: KeptAnswer) -> Response:
    """Return a kept answer."""
    return Response(
        kept.body,
        status_code=kept.status,
        media_type=kept.media_type,
        headers={REPLAYED: "true"},
    )


def _kept(response: Response) -> KeptAnswer:
    return KeptAnswer(
        response.status_code, response.media_type or "", bytes(response.body).decode()
    )


async def _once(
    request: Request,
    caller: Authenticated,
    services: Wired,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            description="Any text, new for every new request (a UUID): sent again with it, the "
            "request is answered as the first time, and not carried out again. Kept for 24 hours.",
        ),
    ] = None,
) -> OnceOnly:
    if key is None:
        return OnceOnly(services.answers, None)
    # The draft's value is a structured field's string, in quotes; many clients leave them out.
    plain = key[1:-1] if len(key) > 2 and key[0] == key[-1] == '"' else key  # noqa: PLR2004
    body = _hash(await request.body())
    asked = f"{request.method} {request.url.path} {request.url.query} {body}"
    claim = Claim(caller.name, _hash(plain.encode()), _hash(asked.encode()))
    return OnceOnly(services.answers, claim)


Once = Annotated[OnceOnly, Depends(_once)]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
