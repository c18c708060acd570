"""A request as a scene: who does what with what, and in which role everything else stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

from agent_orchestrator.domain.intents import verbs
from agent_orchestrator.domain.intents.phrases import FOREIGN, NOUNS, Phrase, phrases
from agent_orchestrator.domain.intents.requests import Request
from agent_orchestrator.domain.intents.tokens import Kind, Token
from agent_orchestrator.domain.intents.vocabulary import words

#: Classes that belong to ModelOps beyond doubt.
BACKING: Final = words(
    "agentnoun model models version canary training evaluation baseline strategy breaker "
    "conversion job_id repo modelname"
)
#: Where a deployment may go without naming a service of its own.
_PLACES: Final = words(
    "production prod live everyone everybody users customers traffic use serving openrouter "
    "huggingface hf hub endpoint local self_hosted machine calls tasks requests mode sleep zero"
)


@dataclass(frozen=True)
class Scene:
    """A request with its phrases."""

    verb: str
    tokens: tuple[Token, ...]
    known: frozenset[str]
    """Classes of what earlier clauses were about: an ``it`` may refer to those."""

    @cached_property
    def phrases(self) -> tuple[Phrase, ...]:
        """The phrases after the verb."""
        return phrases(self.tokens)

    @cached_property
    def objects(self) -> tuple[Phrase, ...]:
        """The direct objects (two in "give docs a training run")."""
        found = [p for p in self.phrases if not p.role and p.kind]
        if not found and self.verb in verbs.READ:
            found = [p for p in self.phrases if p.kind][:1]  # "check on the rollout"
        return tuple(found) or self.phrases[:1]

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Classes of the objects; "a round of dpo" is training."""
        after = {id(p): q for p, q in pairwise(self.phrases) if q.role == "of"}
        return tuple(
            after[id(p)].kind if p.kind == "job" and id(p) in after else p.kind
            for p in self.objects
        )

    @cached_property
    def evidence(self) -> bool:
        """Whether something in it belongs to ModelOps beyond doubt."""
        return any(p.kind in BACKING or p.topics & BACKING for p in self.phrases)

    def has(self, *kinds: str) -> bool:
        """Return whether a phrase has one of these classes."""
        return any(p.kind in kinds or not p.topics.isdisjoint(kinds) for p in self.phrases)

    def has_token(self, *kinds: Kind) -> bool:
        """Return whether a token is one of ``kinds``."""
        return any(token.kind in kinds for token in self.tokens)

    def has_word(self, *norms: str) -> bool:
        """Return whether one of these words occurs."""
        return any(token.norm in norms for token in self.tokens)

    @cached_property
    def identified(self) -> bool:
        """Whether it names an agent or a job."""
        return self.has_token(Kind.JOB) or any(p.agents for p in self.phrases)

    @cached_property
    def sure_agent(self) -> bool:
        """Whether an agent is named in a way that cannot be an everyday word."""
        return any(p.surely and p.agents for p in self.phrases)

    @cached_property
    def owned_elsewhere(self) -> bool:
        """Whether its object belongs to something that is not ours ("v2 of our API")."""
        return any(p.role == "of" and p.kind == FOREIGN for p in self.phrases[1:2])

    @cached_property
    def elsewhere(self) -> bool:
        """Whether it names a place that is not ours ("to Vercel", "in models.py")."""
        in_file = any(p.role == "in" and p.kind == "path" for p in self.phrases)
        return in_file or self.aims_elsewhere("to", "into", "onto", "in", "for")

    def aims_elsewhere(self, *roles: str) -> bool:
        """Return whether something foreign stands in one of ``roles``."""
        return any(
            p.kind == FOREIGN and p.role in roles and not any(t.norm in _PLACES for t in p.content)
            for p in self.phrases
        )


def scene_of(request: Request, known: frozenset[str] = frozenset()) -> Scene:
    """Return the scene of a request."""
    return Scene(request.verb, request.rest, known)


def topics_of(tokens: Sequence[Token]) -> frozenset[str]:
    """Return what a clause is about, for an ``it`` in a later one."""
    found = {NOUNS[token.norm] for token in tokens if token.is_word(NOUNS)}
    return frozenset(found | {"job_id" for token in tokens if token.kind is Kind.JOB})
