"""The form of a request: does a clause ask for something, and with which verb?

After openers, vocatives and politenesses a request starts with a verb in the base form
("deploy …"), or wants a state ("I want docs retrained", "docs needs retraining"). Everything else
is no request, so a negation, a question or a report needs no rule of its own to be harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from agent_orchestrator.domain.intents import manners, verbs
from agent_orchestrator.domain.intents.phrases import (
    AUXILIARIES,
    DETERMINERS,
    FOREIGN,
    NEGATORS,
    is_adverb,
    phrases,
)
from agent_orchestrator.domain.intents.tokens import Kind, Token
from agent_orchestrator.domain.intents.verbs import VERB_FORMS, Verb
from agent_orchestrator.domain.intents.vocabulary import words


@dataclass(frozen=True, slots=True)
class Request:
    """What a clause asks for."""

    verb: str
    """Lemma; ``need`` when only something nominal is wanted ("a training run, please")."""
    rest: tuple[Token, ...]
    """What follows it; in a passive the subject first."""
    tentative: bool = False
    """Considered rather than asked for."""
    polite: bool = False
    """Asked as a polite question, so that a question mark means nothing."""
    stated: bool = False
    """Put as a statement of what should be: "docs should be rolled back"."""


Found = tuple[str, Sequence[Token]]
"""Lemma and what follows the verb."""

_FOR: Final = Token(Kind.WORD, "for", "for")
_THE: Final = Token(Kind.WORD, "the", "the")


def find_request(tokens: Sequence[Token]) -> Request | None:
    """Return what the clause asks for, None when it has not the form of a request."""
    rest = skip_openers(tokens)
    markers = []
    while rest and rest[0].norm in manners.MARKERS:
        markers.append(rest[0].norm)
        rest = skip_openers(rest[1:])
    please = any(token.norm in {"please", "kindly"} for token in tokens)
    ensured = markers[-1:] == [manners.ENSURE]
    found = _wanted(rest, markers) or (None if ensured else _imperative(rest, markers))
    stated = found is None
    found = found or _passive(rest, ensured=ensured)
    if found is None and please and _is_nominal(rest):
        found, stated = _nominal(rest), False
    if found is None or any(token.is_word(NEGATORS) for token in found[1][:1]):
        return None  # "promote nothing"
    skipped = tokens[: len(tokens) - len(rest)]
    rest_tokens = _without_vocative(found[1])
    # "gradually roll out …", "blue-green deploy …"
    manner = [token for token in skipped if _is_manner(token) or token.is_word(_STRATEGY)]
    tentative = not please and not {manners.MAYBE, manners.MAYBE_ING}.isdisjoint(markers)
    polite = please or not {manners.ASK, manners.ASK_ING}.isdisjoint(markers)
    return Request(found[0], (*rest_tokens, *manner), tentative, polite, stated)


def _without_vocative(rest: Sequence[Token]) -> Sequence[Token]:
    """``deploy the release, feature_dev`` speaks to feature_dev."""
    called = len(rest) > 1 and rest[-1].kind is Kind.AGENT and rest[-2].norm == ","
    return rest[:-2] if called and rest[0].kind is not Kind.AGENT else rest


def skip_openers(tokens: Sequence[Token]) -> Sequence[Token]:
    """Return ``tokens`` without "ok now", "hey chef", "@feature_dev" and leading adverbs."""
    i = 0
    while i < len(tokens) and (
        tokens[i].is_word(manners.OPENERS)
        or tokens[i].norm in {manners.COURTESY, ","}
        or (tokens[i].kind is Kind.AGENT and tokens[i].addressed and i + 1 < len(tokens))
        or _is_manner(tokens[i])
        or (tokens[i].is_word(_STRATEGY) and _deploys(tokens[i + 1 : i + 2]))
    ):
        i += 1
    return tokens[i:]


_STRATEGY: Final = words("blue_green shadow canary ab immediate")


def _deploys(tokens: Sequence[Token]) -> bool:
    return bool(tokens) and tokens[0].is_word(verbs.DEPLOY)


def _is_manner(token: Token) -> bool:
    return is_adverb(token) and token.norm.endswith("ly") and token.norm not in VERB_FORMS


def base_verb(tokens: Sequence[Token]) -> Verb | None:
    """Return the verb that ``tokens`` start with, if it has the base form."""
    if not tokens or not tokens[0].is_word(VERB_FORMS):
        return None
    verb = VERB_FORMS[tokens[0].norm]
    if verb.lemma in _RATHER_NOUNS and not (len(tokens) > 1 and tokens[1].kind in _MODELS):
        return None
    return verb if "base" in verb.forms else None


#: Verbs only before a model: "canary v1.2.0 to docs", but "canary 20%".
_RATHER_NOUNS: Final = frozenset({"canary", "shadow"})
_MODELS: Final = frozenset({Kind.VERSION, Kind.REPO})


def _participle(token: Token) -> Verb | None:
    verb = VERB_FORMS[token.norm] if token.is_word(VERB_FORMS) else None
    return verb if verb is not None and "past" in verb.forms else None


def _gerund(tokens: Sequence[Token]) -> Verb | None:
    """Return the verb of ours that ``tokens`` start with as a gerund."""
    verb = VERB_FORMS[tokens[0].norm] if tokens and tokens[0].is_word(VERB_FORMS) else None
    ours = verb is not None and verb.lemma in verbs.ACTING | verbs.CONVERT
    return verb if verb is not None and ours and "ing" in verb.forms else None


# --- imperative ------------------------------------------------------------------------------

_BEFORE_VERB: Final = words("quickly now also then just again please kindly simply")
_AFTER_AUXILIARY: Final = manners.MARKERS | {"you", "we", "they", "i", "not"}
_TAKING_BACK: Final = words("roll switch put bring take move set go change flip step get point")


def _imperative(rest: Sequence[Token], markers: Sequence[str]) -> Found | None:
    """``deploy …``; ``evaluating …`` after "would you mind"."""
    if [token.norm for token in rest[:2]] in (["need", "to"], ["want", "to"], ["have", "to"]):
        rest = rest[2:]
    while rest and rest[0].is_word(_BEFORE_VERB):
        rest = rest[1:]
    gerund = markers[-1:] in ([manners.ASK_ING], [manners.MAYBE_ING])
    if gerund and rest and rest[0].is_word(VERB_FORMS):
        verb = VERB_FORMS[rest[0].norm]
        fits = "ing" in verb.forms
        return (_with_particle(verb.lemma, rest[1:]), rest[1:]) if fits else None
    verb_or_none = None if gerund else base_verb(rest)
    return None if verb_or_none is None else _complete(verb_or_none.lemma, rest)


def _complete(lemma: str, rest: Sequence[Token]) -> Found | None:
    """Read a verb together with a particle or a second verb that changes what it asks for."""
    after = rest[1:]
    if lemma in {"do", "have"} and after and after[0].norm in _AFTER_AUXILIARY:
        return None  # a question, or a negation
    emphatic = base_verb(after) if lemma == "do" else None
    if emphatic is not None:
        return _complete(emphatic.lemma, after)
    read = _SECOND_VERB.get(lemma)
    found = read(rest) if read is not None else None
    return found or (_with_particle(lemma, after), after)


def _begun(rest: Sequence[Token]) -> Found | None:
    """``start training docs`` trains docs."""
    verb = _gerund(rest[1:])
    return None if verb is None else (verb.lemma, rest[2:])


def _used_to(rest: Sequence[Token]) -> Found | None:
    """``use pairs.jsonl to train docs`` is ``train docs using pairs.jsonl``."""
    for i in range(2, len(rest) - 1):
        if rest[i].norm == "to":
            verb = base_verb(rest[i + 1 :])
            thing = phrases(rest[1:i])[0]
            if verb is None or verb.lemma not in verbs.ACTING or thing.kind == FOREIGN:
                return None
            return verb.lemma, [*rest[i + 2 :], replace(rest[0], norm="using"), *rest[1:i]]
    return None


def _allowed(rest: Sequence[Token]) -> Found | None:
    """``let docs use v1.2.0`` gives docs v1.2.0."""
    for i, token in enumerate(rest[:_AHEAD]):
        if i > 1 and token.is_word(_TAKING):
            return "give", [*rest[1:i], _THE, *rest[i + 1 :]]
    return None


_TAKING: Final = words("take have get serve handle receive use run")
_AHEAD: Final = 8


def _by_means(rest: Sequence[Token]) -> Found | None:
    """``fix that by retraining it`` retrains it."""
    for i, token in enumerate(rest):
        verb = _gerund(rest[i + 1 : i + 2]) if token.norm == "by" else None
        if verb is not None:
            means = rest[i + 2 :]
            said = means and means[0].norm in {"it", "them"}
            return verb.lemma, [*rest[1:i], *(means[1:] if said else means)]
    return None


_SECOND_VERB: Final[Mapping[str, Callable[[Sequence[Token]], Found | None]]] = {
    **dict.fromkeys(("start", "begin", "try", "perform", "handle"), _begun),
    "use": _used_to,
    "let": _allowed,
    **dict.fromkeys(("fix", "improve", "make", "upgrade", "enhance", "boost"), _by_means),
}


def _with_particle(lemma: str, after: Sequence[Token]) -> str:
    """``roll … back``, ``put … back on``, ``roll … out``, ``put … live``."""
    words = {token.norm for token in after if token.kind is Kind.WORD}
    if lemma in _TAKING_BACK:
        if "back" in words:
            return "rollback"
        if "live" in words:
            return "deploy"
    return "rollout" if lemma == "roll" and "out" in words else lemma


# --- wanted states ---------------------------------------------------------------------------


def _wanted(rest: Sequence[Token], markers: Sequence[str]) -> Found | None:
    """``get docs retrained``, ``I want v1.2 to be deployed``, ``we need a training run``."""
    wanted = markers[-1:] == [manners.WANT]
    if not wanted:
        if not rest or rest[0].norm not in {"get", "have", "see"}:
            return None
        rest = rest[1:]
    for i, token in enumerate(rest):
        infinitive = token.norm == "be" and i > 0 and rest[i - 1].norm == "to"
        if token.kind is Kind.PUNCT or token.is_word(NEGATORS):
            break
        if token.is_word(AUXILIARIES) and not infinitive:
            break
        verb = _participle(token)
        describes = i == 0 or rest[i - 1].is_word(DETERMINERS) or is_adverb(rest[i - 1])
        if verb is not None and verb.lemma in verbs.ASKING and not describes:
            after = rest[i + 1 :]
            end = i - 2 if rest[i - 1].norm == "be" else i
            return _with_particle(verb.lemma, after), [*rest[:end], *after]
    return _nominal(rest) if wanted else None


def _nominal(rest: Sequence[Token]) -> Found:
    """``a training run for docs``, ``docs back on v1.1.0``."""
    back = any(token.norm == "back" for token in rest[:_AHEAD])
    return "rollback" if back else "need", rest


def _passive(rest: Sequence[Token], *, ensured: bool) -> Found | None:
    """``docs should be rolled back``, ``docs needs retraining``, ``docs must go back to v1``.

    ``ensured``: after "make sure", where "docs is retrained" asks for it.
    """
    end = next((i for i, token in enumerate(rest) if token.is_word(AUXILIARIES)), 0)
    subject, modal, after = rest[:end], rest[end].norm if rest else "", rest[end + 1 :]
    if not subject or subject[0].is_word(manners.PERSONS) or any(map(_bars_passive, subject)):
        return None
    if modal in _NEEDS:
        needed = _gerund(after)
        if needed is not None:
            return needed.lemma, [*subject, *after[1:]]
        if after and after[0].is_word(_SOME):
            return "need", [*after, _FOR, *subject]
    if modal in _NEEDS | {"has", "have", "ought"} and after and after[0].norm == "to":
        after = after[1:]
    elif modal not in {"should", "must"} and not (ensured and modal in {"is", "are", "gets"}):
        return None
    return _done_to(subject, after, ensured=ensured)


def _done_to(subject: Sequence[Token], after: Sequence[Token], *, ensured: bool) -> Found | None:
    """Read what shall happen to ``subject``: ``be retrained``, ``use v1.2``, ``go back to v1``."""
    norms = [token.norm for token in after[:2]]
    if norms == ["go", "back"]:
        return "rollback", [*subject, *after[2:]]
    if after and after[0].is_word(_TAKING) and any(t.kind in _MODELS for t in after):
        return "give", [*subject, _THE, *after[1:]]
    done = after[1:] if norms[:1] == ["be"] else after if ensured else ()
    verb = _participle(done[0]) if done else None
    return None if verb is None else (verb.lemma, [*subject, *done[1:]])


_NEEDS: Final = frozenset({"needs", "need"})
_SOME: Final = words("a another some more")


def _bars_passive(token: Token) -> bool:
    return (
        token.kind is Kind.PUNCT
        or token.is_word(NEGATORS)
        or token.is_word(manners.WH)
        or token.is_word(manners.SPEAKING)
    )


def _is_nominal(rest: Sequence[Token]) -> bool:
    """``another training run for docs, please`` has no verb, and denies nothing."""
    verbal = AUXILIARIES | NEGATORS | manners.PERSONS
    return bool(rest) and not any(token.is_word(verbal) for token in rest)
