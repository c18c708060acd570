"""Over the clauses of a text: what carries over from one to the next, and what is taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Final

from agent_orchestrator.domain.intents import manners, verbs
from agent_orchestrator.domain.intents.clauses import Clause, Posture
from agent_orchestrator.domain.intents.frames import use_case_of
from agent_orchestrator.domain.intents.phrases import FOREIGN
from agent_orchestrator.domain.intents.readings import reading_of
from agent_orchestrator.domain.intents.requests import Request
from agent_orchestrator.domain.intents.scene import Scene, scene_of, topics_of
from agent_orchestrator.domain.intents.tokens import Kind, Token
from agent_orchestrator.domain.use_cases import UseCase

# --- what carries over -----------------------------------------------------------------------

_WEAK: Final = frozenset({",", ":", "-", "and", "or", "nor", "but", "so", "then", "please"})
#: Which links a posture carries over: what is joined that way is as little asked for.
_CARRIES: Final = {
    Posture.SUPPOSED: _WEAK | manners.CONDITIONS | manners.REASONS | {""},
    Posture.QUESTION: _WEAK,
    Posture.CONDITION: _WEAK,
    Posture.CODING: _WEAK,
    Posture.REPORT: _WEAK,
    Posture.DANGLING: _WEAK,
    Posture.NEGATED: frozenset({"and", "or", "nor", "please"}),
    Posture.STATEMENT: frozenset({"and", "or", "then"}),
    Posture.FRAGMENT: frozenset({"and", "or"}),
    Posture.REASON: frozenset({"and", "or"}),
    Posture.RETRACTION: frozenset({":"}),
}
_TELLING: Final = frozenset({Posture.STATEMENT, Posture.FRAGMENT})
#: Postures that a clause has whatever stands before it.
_OF_THEIR_OWN: Final = frozenset(
    {Posture.CONDITION, Posture.SUPPOSED, Posture.RETRACTION, Posture.DANGLING, Posture.REASON}
)
#: How many clauses a list under one negation may have.
_LIST: Final = 8


def settle(clauses: Sequence[Clause]) -> tuple[Clause, ...]:
    """Give each clause the posture it has in its surroundings, and what was known before it."""
    settled: list[Clause] = []
    known: frozenset[str] = frozenset()
    for i, clause in enumerate(clauses):
        ahead = clauses[i + 1 : i + 1 + _LIST]
        carried = _carried(settled[-1], clause, ahead) if settled else None
        posture = clause.posture
        before = settled[-1].posture if settled and clause.link else None
        if posture is Posture.CONDITION and before in _TELLING:
            posture = before  # "docs got worse after the rollout, roll it back"
        elif carried is not None and posture not in _OF_THEIR_OWN:
            posture = carried
        elif clause.request is not None and posture in {Posture.REQUEST, Posture.DIRECTIVE}:
            posture = _imperative(clause, clause.request, known)
        settled.append(replace(clause, posture=posture, known=known))
        known |= topics_of(clause.tokens)
    return tuple(settled)


def _carried(previous: Clause, clause: Clause, ahead: Sequence[Clause]) -> Posture | None:
    """Return the posture that the clause before gives to ``clause``, None for none."""
    posture = previous.posture
    if clause.link in _CARRIES.get(posture, ()):
        return posture
    if clause.link == ":" and any(t.is_word(manners.LABELS) for t in previous.tokens):
        return Posture.REPORT
    if clause.link == "," and posture in {Posture.NEGATED, Posture.STATEMENT, Posture.FRAGMENT}:
        # "don't train, evaluate, or deploy it"; "she asked me to train, evaluate and deploy it"
        joints = {"or", "nor"} if posture is Posture.NEGATED else {"or", "and"}
        end = next((c.link for c in ahead if c.link != ","), "")
        if end in joints and (posture is Posture.NEGATED or _names_action(previous)):
            return posture
    return None


def _lemmas(clause: Clause) -> frozenset[str]:
    """Lemmas of all words that may be verbs."""
    forms = verbs.VERB_FORMS
    return frozenset(forms[t.norm].lemma for t in clause.tokens if t.is_word(forms))


def _names_action(clause: Clause) -> bool:
    return not _lemmas(clause).isdisjoint(verbs.ACTING)


def _imperative(clause: Clause, request: Request, known: frozenset[str]) -> Posture:
    """Tell a use case from a hint how to carry one out, and from a coder's work."""
    scene = scene_of(request, known)
    if use_case_of(scene) or (_looks(scene) and reading_of(clause.tokens, asked=True)):
        return Posture.REQUEST
    if scene.verb in verbs.ADJUNCT:
        return Posture.DIRECTIVE
    if request.stated or scene.verb in {"see", "look", "know"}:
        return Posture.STATEMENT  # "let's see how good it is"
    hint = scene.verb in verbs.DIRECT and scene.objects[0].kind != FOREIGN
    return Posture.DIRECTIVE if hint else Posture.CODING


def _looks(scene: Scene) -> bool:
    """Return whether a reading may stand behind an imperative; "rollout status" only seems one."""
    return scene.verb in verbs.LOOK or scene.objects[0].kind == "status"


# --- what is asked for -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """A use case that a clause asks for."""

    use_case: UseCase
    index: int
    """Of its clause."""
    scene: Scene | None
    """None for a question."""
    tokens: tuple[Token, ...]
    """What slots are read from."""
    tentative: bool = False
    """Considered rather than asked for: never to be acted on without asking back."""
    question: bool = False
    """Asked in the form of a question."""


def candidates(settled: Sequence[Clause]) -> list[Candidate]:
    """Return what is asked for, in order, without what is taken back."""
    found: list[Candidate] = []
    start = 0
    for i, clause in enumerate(settled):
        start = start if clause.link else i
        if clause.posture in {Posture.RETRACTION, Posture.DANGLING}:
            found.clear()
        elif clause.posture is Posture.NEGATED:
            while found and _withdraws(clause, found[-1]):
                found.pop()
        elif clause.posture is Posture.QUESTION and clause.tokens[0].is_word(manners.WH):
            while found and found[-1].index >= start:
                found.pop()  # "roll back docs, what would happen?"
        candidate = _candidate(settled, i)
        if candidate is not None:
            found.append(candidate)
    return found


def _candidate(settled: Sequence[Clause], i: int) -> Candidate | None:
    clause = settled[i]
    scene = None if clause.request is None else scene_of(clause.request, clause.known)
    if scene is not None and clause.posture is Posture.REQUEST:
        use_case = use_case_of(scene)
        if use_case is not None and not _conditional(settled, i):
            tentative = _tentative(settled, i)
            answered = tentative and clause.asked and i + 1 < len(settled)  # "train docs? Hm."
            return None if answered else Candidate(use_case, i, scene, scene.tokens, tentative)
    looks = scene is None or _looks(scene)
    if looks and clause.posture in {Posture.REQUEST, Posture.QUESTION, Posture.FRAGMENT}:
        asked = clause.asked or clause.posture is not Posture.FRAGMENT
        reading = reading_of(clause.tokens, asked=asked, marked=clause.asked, known=clause.known)
        if reading is not None:
            question = clause.posture is not Posture.REQUEST
            return Candidate(reading.use_case, i, None, reading.tokens, question=question)
    return None


def _conditional(settled: Sequence[Clause], i: int) -> bool:
    """Return whether a request waits for something: "… if the tests pass", "… tomorrow"."""
    if any(token.is_word(manners.DEFERRING) for token in settled[i].tokens):
        return True
    rest = takewhile(lambda clause: clause.link, settled[i + 1 : i + 1 + _LIST])
    return any(clause.posture is Posture.CONDITION for clause in rest)


def _tentative(settled: Sequence[Clause], i: int) -> bool:
    """Return whether a request is only considered: "maybe we should …", "deploy it?"."""
    clause = settled[i]
    if clause.request is None or clause.request.tentative:
        return True
    tag = [t.norm for c in settled[i + 1 : i + 2] if c.link for t in c.tokens]
    return clause.asked and not clause.request.polite and tag not in _TAGS


#: "…, would you?", "…, ok?": they turn the order before them into a polite one.
_TAGS: Final = (
    *([word] for word in (manners.ASK, manners.MAYBE, manners.COURTESY, "ok", "okay", "please")),
    ["will", "you"],
)


def _withdraws(negated: Clause, candidate: Candidate) -> bool:
    """Return whether a negated clause takes back an earlier request."""
    if candidate.tentative or candidate.scene is None:
        return candidate.tentative
    named = {t.norm for t in negated.tokens if t.kind is Kind.AGENT}
    own = {t.norm for t in candidate.tokens if t.kind is Kind.AGENT}
    if named and own and named.isdisjoint(own):
        return False
    lemmas = _lemmas(negated) - {"do"}
    if candidate.scene.verb in lemmas:
        return True
    short = len(negated.tokens) <= _LIST and any(t.is_word(_THAT) for t in negated.tokens)
    return short and lemmas <= manners.CARRYING_OUT


_THAT: Final = frozenset({"it", "that", "this", "anything", "yet"})
