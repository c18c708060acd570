"""The answers of requests that are carried out once, and the turns of those under way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from agent_orchestrator.errors import ChefError, KeyInUseError
from agent_orchestrator.stores.kept_answers import Claim, KeptAnswer, KeptAnswerStore

log = logging.getLogger(__name__)

KEPT_SECONDS: Final = 24 * 3600.0
_PRUNE_SECONDS: Final = 600.0


class Answers:
    """The answers that are kept, and which requests with a key this process works on."""

    def __init__(self, store: KeptAnswerStore, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._under_way: set[Claim] = set()

    @asynccontextmanager
    async def claimed(self, claim: Claim) -> AsyncIterator[Turn]:
        """Give the turn of a request; raises KeyReusedError or KeyInUseError."""
        if claim in self._under_way:
            raise KeyInUseError(
                "The request with this idempotency key is still under way.",
                remedy="Ask again in a moment, with the same key.",
            )
        self._under_way.add(claim)
        try:
            turn = await self._begun(claim)
            try:
                yield turn
            except ChefError:
                await turn.give_back()
                raise
        finally:
            self._under_way.discard(claim)

    async def _begun(self, claim: Claim) -> Turn:
        now = self._clock()
        found = await asyncio.to_thread(self._store.begin, claim, now, now - KEPT_SECONDS)
        if not found.first and found.answer is None:
            raise KeyInUseError(
                "The request with this idempotency key was cut off before it was answered, or "
                "another server works on it: it may have been carried out.",
                remedy="Look whether it was (the list of activity says), then use a new key.",
            )
        return Turn(self._store, claim, found.answer)

    async def care(self) -> None:
        """Forget what is older than a day, now and then, until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self._store.prune, self._clock() - KEPT_SECONDS)
            except ChefError as error:
                log.warning("Kept answers: %s", error)
            await asyncio.sleep(_PRUNE_SECONDS)


@dataclass(frozen=True, slots=True)
class Turn:
    """A request's turn: its first answer, when it was there before."""

    store: KeptAnswerStore
    claim: Claim
    kept: KeptAnswer | None

    async def keep(self, answer: KeptAnswer) -> None:
        """Keep the answer. It is true without that, too: a full disk must not hide it."""
        try:
            await asyncio.to_thread(self.store.keep, self.claim, answer)
        except ChefError as error:
            log.error("An answer could not be kept: %s", error)  # noqa: TRY400 - for people

    async def give_back(self) -> None:
        """Free the key of a request that did nothing."""
        if self.kept is None:
            await asyncio.to_thread(self.store.drop, self.claim)
