"""Slots that are names: data set, models, versions, repositories."""

from __future__ import annotations

from typing import Final

from agent_orchestrator.domain.intents.phrases import NOUNS, PREPOSITIONS
from agent_orchestrator.domain.intents.region import Literal, Region
from agent_orchestrator.domain.intents.tokens import Kind, Token, looks_like_model
from agent_orchestrator.domain.intents.verbs import VERB_FORMS
from agent_orchestrator.domain.intents.vocabulary import words

DATA_NOUNS: Final = words("dataset datasets data corpus traces examples")
_SOURCES: Final = words("on with using from over against via of in by")
_COMPARED_TO: Final = words("against vs versus than over")
_RECEIVERS: Final = words("to into as under at")
_NAMES: Final = frozenset({Kind.REPO, Kind.NAME, Kind.PATH})
_MODEL_NAMES: Final = frozenset({Kind.REPO, Kind.NAME})
_NAMING: Final = words("called named : = is id")
#: Words before "data set" that do not name it.
_NO_NAME: Final = words(
    "new newest latest full whole entire same current complete small large bigger better existing "
    "own good clean fresh old previous local custom labelled labeled curated this that the a an "
    "our my its their your his her some any more evaluation training demo production test "
    "validation feedback different big quality preference another extra eval successful recent "
    "first second right correct shared default public"
)


def dataset_of(region: Region) -> str | None:
    """Return the data set's name, repository or path."""
    named = _beside_noun(region)
    if named is not None:
        return named
    for role, phrase, token in region.literals(*_NAMES):
        is_head = phrase.content[-1:] == (token,)
        if role in _SOURCES and is_head and not looks_like_model(token.norm):
            return token.norm
        if token.kind is Kind.PATH and role not in _RECEIVERS:
            return token.norm
    return None


def _beside_noun(region: Region) -> str | None:
    """``the stdlib-defects data set``, ``dataset: acme/tickets``, ``the tickets data set``."""
    for phrase in region.phrases:
        tokens = phrase.tokens
        for i, token in enumerate(tokens):
            if not token.is_word(DATA_NOUNS):
                continue
            before = tokens[i - 1] if i else None
            after = next((t for t in tokens[i + 1 : i + 4] if t.norm not in _NAMING), None)
            for literal in (before, after):
                if literal is not None and literal.kind in _NAMES:
                    return literal.norm
            named = phrase.role or (before is not None and before.kind is Kind.WORD)
            if named and token.norm == "dataset" and before is not None and _names_data(before):
                return before.text
    return None


def _names_data(before: Token) -> bool:
    """``the tickets data set`` has a name, ``a new data set`` and ``a dpo data set`` have none."""
    if before.possessive or before.kind not in {Kind.WORD, Kind.AGENT}:
        return False
    return not before.is_word(_NO_NAME | NOUNS.keys() | PREPOSITIONS | VERB_FORMS.keys())


def base_model_of(region: Region) -> str | None:
    """Return the model to start from."""
    named: str | None = None
    for phrase in region.phrases:  # "base model X", "X as the base"
        own = next((token.norm for token in phrase.tokens if token.kind in _MODEL_NAMES), None)
        named = own or named
        if named is not None and any(t.norm in {"base_model", "base"} for t in phrase.tokens):
            return named
    dataset = dataset_of(region)
    for role, _, token in region.literals(*_MODEL_NAMES):
        object_ = not role and token.kind is Kind.REPO
        if token.norm != dataset and (role == "based_on" or object_ or _starts(role, token)):
            return token.norm
    return None


def _starts(role: str, token: Token) -> bool:
    return role in {"", "from", "with", "using", "on", "of"} and looks_like_model(token.norm)


def model_of(region: Region) -> str | None:
    """Return the model id that is deployed, evaluated or converted."""
    taken = {_beside_noun(region), baseline_of(region)}
    for literal in region.literals(Kind.REPO, Kind.NAME):
        role, phrase, token = literal
        if token.norm in taken or role in _COMPARED_TO or _receives(literal):
            continue
        if looks_like_model(token.norm) or (not role and phrase.kind in {"repo", "name", "model"}):
            return token.norm
        if token.kind is Kind.REPO and role in {"of", "from"}:
            return token.norm
    return None


def version_of(region: Region) -> str | None:
    """Return the version that the request is about, not the one it is compared with or replaces."""
    other = baseline_of(region)
    for role, _, token in region.literals(Kind.VERSION):
        if role not in _COMPARED_TO | {"from", "based_on"} and token.norm != other:
            return token.norm
    return None


def baseline_of(region: Region) -> str | None:
    """Return the version or model that the candidate is compared with."""
    named = [
        literal
        for literal in region.literals(Kind.VERSION, Kind.REPO, Kind.NAME)
        if literal.token.kind is Kind.VERSION or looks_like_model(literal.token.norm)
    ]
    for i, (role, _, token) in enumerate(named):
        if role in _COMPARED_TO or (i and role in {"with", "to"}):
            return token.norm
    return None


def goal_version_of(region: Region) -> str | None:
    """Return the version to go back to; in "roll back v1.3.0" the object is the one to leave."""
    goals = {"to", "on", "onto"} | ({""} if region.verb == "restore" else set())
    for role, _, token in region.literals(Kind.VERSION, Kind.NUMBER):
        if role in goals and (token.kind is Kind.VERSION or "." in token.text):
            return token.norm if token.kind is Kind.VERSION else f"v{token.text}"
    return None


def output_repo_of(region: Region) -> str | None:
    """Return the repository that receives the result."""
    repos = region.literals(Kind.REPO)
    return next((repo.token.norm for repo in repos if _receives(repo)), None)


def _receives(literal: Literal) -> bool:
    """``to acme/out``, ``output repo acme/out``."""
    output = any(token.is_word(_OUTPUT) for token in literal.phrase.tokens)
    return output or literal.role in _RECEIVERS


_OUTPUT: Final = words("output repo repository")
