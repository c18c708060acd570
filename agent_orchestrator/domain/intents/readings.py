"""Questions that are requests to look something up: "how is the canary doing?".

They read and change nothing. A question *about* something ("how does training work", "why did the
rollback happen", "should I deploy") is none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent_orchestrator.domain.intents import manners
from agent_orchestrator.domain.intents.phrases import (
    AUXILIARIES,
    FOREIGN,
    NOUNS,
    Phrase,
    certain,
    phrases,
)
from agent_orchestrator.domain.intents.tokens import Kind, Token
from agent_orchestrator.domain.intents.verbs import ACTING, VERB_FORMS
from agent_orchestrator.domain.intents.vocabulary import words
from agent_orchestrator.domain.use_cases import UseCase

#: Nouns that ask how something stands, without a question mark or a verb: "training status".
_STATE_NOUNS: Final = words(
    "report overview summary details results stats logs curve status progress eta loss update "
    "updates news health verdict evidence split share"
)
#: Words that do so in a question.
_STATE: Final = _STATE_NOUNS | words(
    "up pass passed passing requests look looks converged diverging diverged problem problems "
    "issue issues trouble errors alerts wrong progressing going doing coming looking performing "
    "holding faring done finished finish finishing fail crash succeed complete completed running "
    "left remaining stuck failed crashed failing ready healthy still yet stand stands where far "
    "long percent percentage weight traffic step stage ok okay fine well worse better winning "
    "ahead safe active live happening happened state error converging behaving take takes over "
    "epoch learning_rate now currently asleep awake sleeping"
)
_JOBS: Final = words("training job job_id evaluation conversion")
_ROLLOUT: Final = words("canary arm breaker traffic strategy")
_SERVED: Final = words("deployment version model models")
#: Verbs that lead to the question proper: "check whether …", "tell me how …".
_LEADING: Final = words("show check see tell know report give get monitor watch find let")
_DATA: Final = ({"dataset"}, {"dataset", "training"})
_HAVING: Final = words(
    "goes go flows exist exists available registered get gets have has receive receives look "
    "looks hold holds"
)
_SERVING: Final = words(
    "current deployed live active serving serves serve using uses use running runs run on has have"
)
#: They say what is asked, not what about.
_VERBAL: Final = _STATE | _HAVING | _SERVING | manners.PERSONS
#: (first word, second word) of questions that want an explanation, an opinion or the past.
_EXPLAINED: Final = {
    "how": words("do does did to can could should would was were"),
    "what": words("does do did if would happens should can kind"),
    "when": words("was were did do does should can would is are"),
    "where": words("do did can should"),
}
_OPINION: Final = words("should shall may might am would could can were why who whose")


@dataclass(frozen=True, slots=True)
class Reading:
    """A use case that looks something up, and the words that say where."""

    use_case: UseCase
    tokens: tuple[Token, ...]


def reading_of(
    tokens: Sequence[Token],
    *,
    asked: bool,
    marked: bool = False,
    known: frozenset[str] = frozenset(),
) -> Reading | None:
    """Return what a question or verbless clause wants to see, None when it wants something else.

    ``asked`` says whether it is a question by its form or its mark; else it needs a noun for it.
    ``marked``: with a question mark our nouns alone are a question, "docs canary?".
    ``known`` is what earlier clauses were about: "how is it going?"
    """
    rest = _question(tokens)
    if rest and _price(rest):
        return Reading("list_costs", tuple(rest))
    if not rest or _explanation(rest):
        return None
    named = tuple(t for t in rest if not t.is_word(_VERBAL) or t.norm in NOUNS)
    found = phrases(named)
    if any(map(_owned_elsewhere, found)):
        return None
    nominal = all(p.plain and p.kind != FOREIGN for p in found)
    verbless = nominal and not any(t.is_word(AUXILIARIES | manners.WH) for t in rest)
    how = [token.norm for token in rest[:2]] in (["how", "is"], ["how", "are"])
    how = how and not any(t.is_word(VERB_FORMS) and t.norm.endswith("ed") for t in rest)
    state = (
        how
        or (marked and verbless)
        or any(t.is_word(_STATE if asked else _STATE_NOUNS) for t in rest)
    )
    topics = frozenset[str]().union(*(p.topics for p in found))
    if not topics and any(p.kind == "it" for p in found):
        topics = known
    use_case = _use_case(rest, found, topics, state=state, asked=asked)
    return Reading(use_case, named) if use_case else None


def _use_case(
    rest: Sequence[Token],
    found: Sequence[Phrase],
    topics: frozenset[str],
    *,
    state: bool,
    asked: bool,
) -> UseCase | None:
    agents = [token for p in found for token in p.agents]
    which = rest[0].norm in {"which", "what", "how"}
    models = any(p.plain and "models" in p.topics for p in found)  # no "database models"
    deployed = any(token.norm in {"deployed", "live", "serving"} for token in rest)
    serving = any(token.is_word(_SERVING) for token in rest)
    job = any(token.kind is Kind.JOB for token in rest)
    only_agent = any(map(certain, agents)) and topics <= {"status", "agentnoun"}
    nominal = all(p.plain and p.kind != FOREIGN for p in found)
    named = any(token.kind is Kind.NAME for token in rest)
    several = any(token.norm == "datasets" for token in rest)
    rules: tuple[tuple[bool, UseCase], ...] = (
        (nominal and state and named and "endpoint" in topics, "endpoint_status"),
        (nominal and asked and "endpoint" in topics, "list_endpoints"),
        (nominal and state and "space" in topics, "space_status"),
        (nominal and asked and several, "list_datasets"),
        (nominal and which and named and "dataset" in topics, "show_dataset"),
        (nominal and asked and bool(agents) and topics in _DATA, "check_dataset"),
        (job, "monitor_training_job"),
        (state and not topics.isdisjoint(_ROLLOUT), "rollout_status"),
        (state and not topics.isdisjoint(_JOBS), "monitor_training_job"),
        (asked and models and rest[0].norm != "where", "list_agent_models"),
        (
            which and serving and bool(agents and (topics & _SERVED or deployed)),
            "list_agent_models",
        ),
        (state and bool(agents and topics & _SERVED), "rollout_status"),
        (state and only_agent, "rollout_status"),
    )
    return next((use_case for holds, use_case in rules if holds), None)


def _question(tokens: Sequence[Token]) -> Sequence[Token]:
    """Strip what leads to the question proper: "can you tell me whether", "do you know"."""
    lead = manners.OPENERS | manners.MARKERS | _LEADING | {"me", "us", "if", "whether", "you"}
    i = 0
    while i < len(tokens) and (
        tokens[i].is_word(lead)
        or (tokens[i].kind is Kind.AGENT and tokens[i].addressed)
        or [t.norm for t in tokens[i : i + 3]] == ["do", "you", "know"]
    ):
        i += 1
    return tokens[i:]


def _explanation(rest: Sequence[Token]) -> bool:
    """Return whether an explanation, an opinion or the past is asked for."""
    said = [token.norm for token in rest]
    if any(token.kind is Kind.JOB for token in rest):
        return said[0] in {"should", "shall"}  # else its report has the diagnosis, too
    if said[0] in _OPINION or not {"would", "should", "cost"}.isdisjoint(said):
        return True
    if len(said) > 1 and said[1] in _EXPLAINED.get(said[0], ()):
        return "look" not in said  # "how does the canary look?"
    if any(token.is_word(_GENERALLY) for token in rest) or any(map(_of_doing, rest, rest[1:])):
        return True
    general = said[:3] in (["what", "is", "a"], ["what", "is", "an"])
    manner = said[0] == "how" and _STANDING.isdisjoint(said)  # "how the model was trained"
    return general or manner


def _price(rest: Sequence[Token]) -> bool:
    """``what did we spend``, ``how much budget is left``, ``what have the jobs of May cost``."""
    said = [token.norm for token in rest]
    if said[0] != "what" and said[:2] != ["how", "much"]:
        return False
    named = phrases(tuple(t for t in rest if not t.is_word(_VERBAL | _PAYING)))
    ours = all(p.plain and p.kind in _PAID for p in named if p.content)
    money = not _PAYING.isdisjoint(said)
    own = not {"we", "budget", "our"}.isdisjoint(said) or any(p.topics & _JOBS for p in named)
    return ours and money and own and {"would", "will", "does", "should"}.isdisjoint(said)


_PAYING: Final = words("cost costs spend spent spending budget bill far month week")
_PAID: Final = _JOBS | {"job", "agent", "agentnoun", "cost", "name", "number", "it", ""}


def _of_doing(to: Token, verb: Token) -> bool:
    """``how long does it take to train …``."""
    return to.norm == "to" and verb.is_word(ACTING)


_GENERALLY: Final = words("usually generally typically normally often always")
_STANDING: Final = words("is are look far long much many")


def _owned_elsewhere(phrase: Phrase) -> bool:
    """``the training loop``: one of our words inside, but about something else."""
    return phrase.kind == FOREIGN and any(
        token.is_word(NOUNS) or token.kind is Kind.AGENT for token in phrase.content
    )
