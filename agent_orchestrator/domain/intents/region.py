"""Where slots are read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from agent_orchestrator.domain.intents.phrases import Phrase, phrases
from agent_orchestrator.domain.intents.tokens import Kind, Token

Scalar = str | int | float | bool
SlotValue = Scalar | list[str] | Mapping[str, Scalar | list[Scalar]]


class Literal(NamedTuple):
    """A literal and where it stands."""

    role: str
    """The preposition before its phrase, ``""`` for an object."""
    phrase: Phrase
    token: Token


@dataclass(frozen=True)
class Region:
    """The request, and the clauses that say how to carry it out."""

    verb: str
    """Lemma of the request's verb, empty for a question."""
    request: tuple[Token, ...]
    """The request's clause after its verb."""
    options: tuple[Token, ...]
    """Directives and fragments around it."""

    @cached_property
    def phrases(self) -> tuple[Phrase, ...]:
        """The phrases that are not excluded by "not", "without" and the like."""
        return tuple(p for p in (*phrases(self.request), *phrases(self.options)) if not p.excluded)

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """All tokens, the request's first."""
        return (*self.request, *self.options)

    @cached_property
    def included(self) -> tuple[Token, ...]:
        """The tokens of the phrases: without prepositions and what is excluded."""
        return tuple(token for phrase in self.phrases for token in phrase.tokens)

    @cached_property
    def words(self) -> frozenset[str]:
        """The words among the included tokens."""
        return frozenset(token.norm for token in self.included if token.kind is Kind.WORD)

    def literals(self, *kinds: Kind) -> list[Literal]:
        """Return the included literals of ``kinds``, in order."""
        return [Literal(p.role, p, t) for p in self.phrases for t in p.tokens if t.kind in kinds]

    def first(self, kind: Kind) -> str | None:
        """Return the first included literal of ``kind``."""
        return next((token.norm for token in self.included if token.kind is kind), None)


def amount(token: Token) -> float | None:
    """Return the value of a number or percentage, None for any other token."""
    return token.number if token.kind in {Kind.NUMBER, Kind.PERCENT} else None


def whole(value: float) -> int | float:
    """Return ``value`` as an integer if it is one."""
    return int(value) if value == int(value) else value
