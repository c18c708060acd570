"""From tokens to clauses, and what each clause does: ask, suppose, deny, report, take back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agent_orchestrator.domain.intents import manners, verbs
from agent_orchestrator.domain.intents.phrases import AUXILIARIES, NEGATORS, OPTIONS, PREPOSITIONS
from agent_orchestrator.domain.intents.requests import (
    Request,
    base_verb,
    find_request,
    skip_openers,
)
from agent_orchestrator.domain.intents.tokens import Kind, Token


class Posture(StrEnum):
    """What a clause does."""

    REQUEST = "request"
    DIRECTIVE = "directive"
    """An imperative that says how to carry a request out: "use dpo"."""
    CODING = "coding"
    """An imperative for a coder."""
    NEGATED = "negated"
    DANGLING = "dangling"
    """A negation whose verb is still to come: "do not, under any circumstances, …"."""
    CONDITION = "condition"
    REASON = "reason"
    SUPPOSED = "supposed"
    QUESTION = "question"
    REPORT = "report"
    STATEMENT = "statement"
    FRAGMENT = "fragment"
    RETRACTION = "retraction"
    """It takes back what was asked before: "never mind"."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause."""

    link: str
    """What joins it to the clause before: ``""`` at the start of a sentence, else the word or
    punctuation mark."""
    tokens: tuple[Token, ...]
    posture: Posture
    asked: bool
    """Whether its sentence ends with a question mark."""
    request: Request | None = None
    known: frozenset[str] = frozenset()
    """Classes of what earlier clauses were about."""


def clauses(tokens: Sequence[Token]) -> tuple[Clause, ...]:
    """Split ``tokens`` into clauses."""
    return tuple(
        _clause(link, part, asked=asked)
        for sentence, asked in _sentences(tokens)
        for link, part in _parts(sentence)
    )


# --- splitting -------------------------------------------------------------------------------

_STOPS: Final = frozenset({".", "!", "?", ";", "\n", "...", "…"})
_ABBREVIATIONS: Final = frozenset({"e.g", "i.e", "vs", "approx", "incl"})
_DASHES: Final = frozenset({"-", "–", "—", "--", "---", "|", "•", "*", "→", "->", "=>", "-->"})
_COMMAS: Final = frozenset({",", "(", ")", "[", "]"})
_CONJUNCTIONS: Final = frozenset({"and", "or", "but", "so", "nor", "then"})
_SUBORDINATORS: Final = manners.CONDITIONS | manners.REASONS
#: How many tokens a decision on where to split looks ahead; it keeps the splitting linear.
_AHEAD: Final = 24


def _sentences(tokens: Sequence[Token]) -> Iterator[tuple[list[Token], bool]]:
    current: list[Token] = []
    for token in tokens:
        abbreviated = token.norm == "." and current and current[-1].norm in _ABBREVIATIONS
        if token.kind is Kind.PUNCT and token.norm in _STOPS and not abbreviated:
            if current:
                yield current, token.norm == "?"
            current = []
        else:
            current.append(token)
    if current:
        yield current, False


def _parts(sentence: Sequence[Token]) -> Iterator[tuple[str, tuple[Token, ...]]]:
    """Split a sentence where a new clause begins; what is no clause stays with the one before."""
    link, current = "", list[Token]()
    for i, token in enumerate(sentence):
        if not _splits(token, current, sentence[i + 1 : i + 1 + _AHEAD]):
            current.append(token)
            continue
        if current:
            yield link, tuple(current)
        link = "-" if token.norm in _DASHES else "," if token.norm in _COMMAS else token.norm
        current = [token] if token.norm in _SUBORDINATORS else []
    if current:
        yield link, tuple(current)


def _splits(token: Token, before: Sequence[Token], after: Sequence[Token]) -> bool:
    """Return whether ``token`` ends a clause and begins another."""
    if token.is_word(_SUBORDINATORS):
        return bool(after) and not _embeds(before) and _subordinates(token, after)
    if token.norm == "please":  # run on: "docs is bad please retrain it"
        broken_off = bool(before) and not before[-1].is_word(_UNFINISHED)
        return broken_off and base_verb(after) is not None and not _courteous(before)
    if token.kind is Kind.PUNCT:
        if token.norm == ":":
            option = bool(before) and before[-1].is_word(OPTIONS)  # "metrics: accuracy"
            return not option or _opens_clause(after)
        return token.norm in _COMMAS | _DASHES | {"&"} and (not before or _opens_clause(after))
    return token.is_word(_CONJUNCTIONS) and (not before or _opens_clause(after))


def _courteous(before: Sequence[Token]) -> bool:
    """``could you``, ``ok, now``: nothing that a request would have to be cut off from."""
    return len(skip_openers(before[-_AHEAD:])) < 2  # noqa: PLR2004 - a word may be a vocative


_UNFINISHED: Final = AUXILIARIES | manners.SUBJECTS | {"to"}


def _embeds(before: Sequence[Token]) -> bool:
    """``check if``, ``tell me when``: a question inside the clause, not a condition."""
    last = [token.norm for token in before[-2:]]
    told = len(last) > 1 and last[0] in {"tell", "show"} and last[1] in {"me", "us"}
    return told or (bool(last) and last[-1] in manners.EMBEDDING)


def _subordinates(token: Token, after: Sequence[Token]) -> bool:
    """``when to``, ``since yesterday``, ``as a canary`` and ``after 2025-01-01`` do not."""
    if after[0].norm == "to":
        return False
    if token.norm in {"as", "since"}:
        return after[0].is_word(manners.SUBJECTS)
    temporal = token.norm in {"after", "before", "until", "till"}
    return not (temporal and after[0].kind in {Kind.NUMBER, Kind.NAME})


def _opens_clause(tokens: Sequence[Token]) -> bool:
    rest = skip_openers(tokens)
    if not rest:
        return False
    first = rest[0]
    return (
        first.is_word(_OPENING)
        or base_verb(rest) is not None
        or _has_finite_verb(rest)
        or _is_retraction(_up_to_joint(tokens))
    )


_OPENING: Final = (
    manners.MARKERS | manners.SUBJECTS | manners.WH | manners.CONDITIONS | AUXILIARIES
) | {"never", "nobody"}


def _up_to_joint(tokens: Sequence[Token]) -> Sequence[Token]:
    joint = (i for i, t in enumerate(tokens) if t.kind is Kind.PUNCT or t.is_word(_CONJUNCTIONS))
    return tokens[: next(joint, len(tokens))]


def _has_finite_verb(tokens: Sequence[Token]) -> bool:
    """Look for an auxiliary before the next comma or conjunction."""
    return any(token.is_word(AUXILIARIES) for token in _up_to_joint(tokens))


# --- postures --------------------------------------------------------------------------------


def _clause(link: str, tokens: tuple[Token, ...], *, asked: bool) -> Clause:
    subordinate = tokens[0].is_word(_SUBORDINATORS)
    request = None if subordinate else find_request(tokens)
    return Clause(link, tokens, _posture(tokens, request), asked, request)


def _posture(tokens: tuple[Token, ...], request: Request | None) -> Posture:
    sure = next((posture for posture, holds in _BY_FORM if holds(tokens)), None)
    if sure is not None:
        return sure
    if request is not None:
        return _requesting(request)
    return next((posture for posture, holds in _OTHERWISE if holds(tokens)), Posture.FRAGMENT)


def _requesting(request: Request) -> Posture:
    if request.verb in verbs.ASKING:
        return Posture.REQUEST
    return Posture.DIRECTIVE if request.verb in verbs.DIRECT else Posture.CODING


def _dangles(tokens: Sequence[Token]) -> bool:
    """``do not``, ``never``, with nothing or an insertion after it."""
    rest = skip_openers(tokens)
    for i, token in enumerate(rest[:2]):
        if token.norm in {"not", "never"}:
            return i + 1 == len(rest) or rest[i + 1].kind is Kind.PUNCT
    return False


def _is_retraction(tokens: Sequence[Token]) -> bool:
    if len(tokens) > _LONGEST_RETRACTION:
        return False
    said = tuple(token.norm for token in tokens if token.kind is not Kind.PUNCT)
    while said and said not in manners.RETRACTIONS and said[0] in manners.OPENERS:
        said = said[1:]
    return said in manners.RETRACTIONS


_LONGEST_RETRACTION: Final = 10


def _supposes(tokens: Sequence[Token]) -> bool:
    """``suppose …``, ``let's say …``, ``hypothetically …``."""
    if any(token.is_word(manners.HYPOTHETICAL) for token in tokens):
        return True
    content = [t for t in skip_openers(tokens)[:2] if t.norm not in manners.MARKERS]
    return bool(content) and content[0].is_word(manners.SUPPOSING)


def _conditions(tokens: Sequence[Token]) -> bool:
    asked = tokens[0].norm == "when" and len(tokens) > 1 and tokens[1].is_word(AUXILIARIES)
    return tokens[0].is_word(manners.CONDITIONS) and not asked  # "when will it be done?"


def _reasons(tokens: Sequence[Token]) -> bool:
    return tokens[0].is_word(manners.REASONS)


def _denies(tokens: Sequence[Token]) -> bool:
    return any(token.is_word(NEGATORS) for token in tokens)


def _asks(tokens: Sequence[Token]) -> bool:
    rest = skip_openers(tokens)
    if rest and rest[0].is_word(PREPOSITIONS):
        return len(rest) > 1 and rest[1].is_word(manners.WH)  # "at what percentage …"
    return bool(rest) and rest[0].is_word(manners.WH | manners.QUESTION_AUX)


def _reports(tokens: Sequence[Token]) -> bool:
    """``he said``, ``she told me``, ``the ticket says to deploy …``."""
    spoken = next((i for i, t in enumerate(tokens) if t.is_word(manners.SPEAKING)), None)
    if spoken is None:
        return False
    after = [token.norm for token in tokens[spoken + 1 :][:3]]
    return len(after) <= 1 or "to" in after or after[0] == "that"


def _orders(tokens: Sequence[Token]) -> bool:
    return base_verb(skip_openers(tokens)) is not None


def _states(tokens: Sequence[Token]) -> bool:
    return _has_finite_verb(tokens) or any(token.is_word(manners.SUBJECTS) for token in tokens)


#: What a clause does, by the first test that holds: before and after a request is looked for.
_BY_FORM: Final = (
    (Posture.DANGLING, _dangles),
    (Posture.RETRACTION, _is_retraction),
    (Posture.SUPPOSED, _supposes),
    (Posture.CONDITION, _conditions),
    (Posture.REASON, _reasons),
)
_OTHERWISE: Final = (
    (Posture.REPORT, _reports),
    (Posture.NEGATED, _denies),
    (Posture.QUESTION, _asks),
    (Posture.CODING, _orders),
    (Posture.STATEMENT, _states),
)
