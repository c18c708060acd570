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
    taken = {_beside_noun(region), baseline_of(region), judge_of(region)}
    taken.update(challengers_of(region) or ())
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
    others = {baseline_of(region), *(challengers_of(region) or ())}
    for role, _, token in region.literals(Kind.VERSION):
        if role not in _COMPARED_TO | {"from", "based_on"} and token.norm not in others:
            return token.norm
    return None


def baseline_of(region: Region) -> str | None:
    """Return the version or model that the candidate is compared with."""
    named = [
        literal
        for literal in region.literals(Kind.VERSION, Kind.REPO, Kind.NAME)
        if literal.token.kind is Kind.VERSION or looks_like_model(literal.token.norm)
    ]
    judge = judge_of(region)
    for i, (role, _, token) in enumerate(named):
        compared = role in _COMPARED_TO or (i and role in {"with", "to"})
        if compared and token.norm != judge:
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


# --- judges and challengers ------------------------------------------------------------------

_JUDGES: Final = words("judge judged judges judging")


def judge_of(region: Region) -> str | None:
    """Return the model that judges: ``judged by X``, ``X as judge``, ``let X judge``."""
    tokens = region.tokens
    for i, token in enumerate(tokens):
        if token.is_word(_JUDGES):
            near = [*tokens[i + 1 : i + 3], *reversed(tokens[max(0, i - 3) : i])]
            named = (t.norm for t in near if t.kind in _MODEL_NAMES)
            return next(named, None)
    return None


def challengers_of(region: Region) -> list[str] | None:
    """Return the further versions and models: ``with challengers v1.3.0 and v1.4.0``."""
    found: list[str] = []
    listing = False
    for token in region.tokens:
        if token.is_word(_CHALLENGERS):
            listing = True
        elif token.kind in _MODEL_NAMES | {Kind.VERSION}:
            found += [token.norm] if listing else []
        elif token.norm not in _JOINED:
            listing = False
    return found or None


_CHALLENGERS: Final = words("challengers contenders")
_JOINED: Final = words(", and & + : =")

# --- things by their names -------------------------------------------------------------------


def endpoint_of(region: Region) -> str | None:
    """Return the Inference Endpoint's name."""
    return _named(region, words("endpoint endpoints"), frozenset({Kind.NAME}))


def template_of(region: Region) -> str | None:
    """Return the experiment's template: a file, or the name of one."""
    named = _named(region, words("experiment experiments"), _NAMES)
    return named or next((t.norm for t in region.included if t.kind is Kind.PATH), None)


def space_of(region: Region) -> str | None:
    """Return the Space, ``owner/name``."""
    return region.first(Kind.REPO)


def asked_models_of(region: Region) -> list[str] | None:
    """Return the models that an experiment is to ask."""
    template = template_of(region)
    found = (t.norm for t in region.included if t.kind is Kind.REPO and t.norm != template)
    return list(found) or None


def _named(region: Region, nouns: frozenset[str], kinds: frozenset[Kind]) -> str | None:
    """Return the literal in a phrase of one of ``nouns``, else the only one."""
    literals = [(p, t.norm) for p in region.phrases for t in p.tokens if t.kind in kinds]
    beside = (name for p, name in literals if any(t.is_word(nouns) for t in p.tokens))
    return next(beside, literals[0][1] if len(literals) == 1 else None)
