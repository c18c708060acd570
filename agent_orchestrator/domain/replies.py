"""What a person answers in a conversation: yes, no, or something else. Pure and deterministic.

A yes counts only when the whole reply says so: "yes, but not now" is none. A yes that changes
something ("yes, with dpo") is a wish of its own, whose price has to be said again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.domain.intents import Intent, parse
from agent_orchestrator.domain.intents.region import Region
from agent_orchestrator.domain.intents.slots import read_slots
from agent_orchestrator.domain.intents.tokens import Kind, tokenize
from agent_orchestrator.domain.next_steps import Proposal
from agent_orchestrator.domain.use_cases import UseCase


@dataclass(frozen=True, slots=True)
class Topic:
    """What the conversation is about, for what a sentence leaves out."""

    agent: str | None = None
    job_id: str | None = None
    """The job that is, or was last, followed."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A use case that is wanted."""

    use_case: UseCaseName
    slots: Mapping[str, Any]
    """By the names of a sentence's slots, or of the request's fields."""
    accepted: bool = False
    """Whether it is exactly what was proposed, at the price that was said."""


@dataclass(frozen=True, slots=True)
class Declined:
    """No."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something is missing: the question to ask back, with what is known."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class Unclear:
    """Neither a ModelOps wish nor an answer."""

    agreed: bool = False
    """A yes, with nothing proposed that it could be an answer to."""


Reply = Wish | Declined | Question | Unclear

_BREAK = re.compile(r"[,;.!?:–—]+(?:\s|$)|\n")
_POLITE = re.compile(
    r"(?<!\S)(?:please|thanks|thank you|then|with (?:that|it)|oh|well|@?chef)(?!\S)"
)
_AGREEMENT = (
    r"(?:y|yes|yeah|yep|yup|sure|ok|okay|fine|agreed|of course|absolutely|go on|go ahead|go|do it|"
    r"do that|do so|do|proceed|continue|sounds good|make it so)"
)
_YES = re.compile(rf"{_AGREEMENT}(?: (?:{_AGREEMENT}|now))*")
_NO = re.compile(
    r"(?:n|no|nope|nah|not now|not yet|later|never mind|nevermind|don't|do not|stop|"
    r"leave it|skip it|no thanks|no thank you|better not|not (?:really|today))(?: .*)?"
)
_NEGATED = re.compile(r"\b(?:not|no|never|without|nothing|don't|doesn't|isn't|wait|but)\b|n't\b")
_SOURCE = re.compile(
    r"(?<!\S)(?:hub:\S+|langsmith(?:-runs)?(?::\S+)?|evolution(?::\S+)?|stdlib-defects|"
    r"\S+\.(?:jsonl|csv|parquet)\b)"
)
_NEWS = re.compile(
    r"(?:and )?(?:how(?:'s| is| are)? (?:it|that|things|the job|the training|the run)\b.*|status|"
    r"progress|any news|is it (?:done|ready|finished).*|where does it stand)"
)


def read_reply(
    text: str, topic: Topic, proposal: Proposal | None = None, asked: Intent | None = None
) -> Reply:
    """Return what ``text`` says after ``proposal`` or the question of ``asked`` (an open intent).

    It raises nothing, whatever the text.
    """
    parts = _parts(text)
    if proposal is not None and (reply := _to_proposal(text, parts, proposal)) is not None:
        return reply
    if asked is not None and (answered := _to_question(text, parts, asked)) is not None:
        return answered
    found = _completed(parse(text), topic)
    if found.use_case is not None:
        return Wish(found.use_case, found.slots)
    if found.clarify is not None:
        return Question(found)
    if topic.job_id is not None and len(parts) == 1 and _NEWS.fullmatch(parts[0]):
        return Wish("monitor_training_job", {"job_id": topic.job_id})
    return Unclear(agreed=bool(parts) and all(map(_agrees, parts)))


def short_answers(
    proposal: Proposal | None = None, asked: Intent | None = None
) -> tuple[Literal["yes", "no"], ...]:
    """Return the words that are an answer by themselves; "yes" only where there is enough to do."""
    if proposal is not None:
        where_from = proposal.use_case == "build_dataset" and "source" not in proposal.values
        return ("no",) if where_from else ("yes", "no")
    if asked is not None and asked.about is not None:
        return ("yes", "no") if _question_is_whole(asked) else ("no",)
    return ()


def _to_proposal(text: str, parts: list[str], proposal: Proposal) -> Reply | None:
    if parts and all(map(_agrees, parts)):
        return Wish(proposal.use_case, proposal.values, accepted=True)
    wanted = parse(text)
    if wanted.use_case is not None or wanted.about is not None:
        return None  # a wish of its own
    changes = _changes(text, parts, proposal.use_case)
    if changes:
        return Wish(proposal.use_case, {**proposal.values, **changes})
    return Declined() if parts and _NO.fullmatch(parts[0]) else None


def _to_question(text: str, parts: list[str], asked: Intent) -> Reply | None:
    if asked.about is None or parse(text).use_case is not None:
        return None
    whole = _question_is_whole(asked)
    if whole and parts and all(map(_agrees, parts)):
        return Wish(asked.about, asked.slots)
    if parts and _NO.fullmatch(parts[0]):
        return Declined()
    found = {token.norm for token in tokenize(text) if token.kind is Kind.AGENT}
    jobs = {token.norm for token in tokenize(text) if token.kind is Kind.JOB}
    if len(found) == 1 and not _NEGATED.search(text.lower()):
        return Wish(asked.about, {**asked.slots, "agent": found.pop()})
    if len(jobs) == 1 and asked.about in {"monitor_training_job", "cancel_training_job"}:
        return Wish(asked.about, {**asked.slots, "job_id": jobs.pop()})
    return None


def _question_is_whole(asked: Intent) -> bool:
    """Return whether a yes answers it: "Shall I train feature_dev now?"."""
    return (asked.clarify or "").startswith("Shall I ")


def _completed(intent: Intent, topic: Topic) -> Intent:
    """Return the intent with what it leaves out taken from what is talked about."""
    if intent.use_case is not None or intent.about is None or _question_is_whole(intent):
        return intent
    if intent.about in {"monitor_training_job", "cancel_training_job"}:
        known: dict[str, Any] = {"job_id": topic.job_id} if topic.job_id else {}
    else:
        known = {"agent": topic.agent} if topic.agent and "agent" not in intent.slots else {}
    ambiguous = (intent.clarify or "").startswith("One agent at a time")
    return intent if ambiguous or not known else Intent(intent.about, {**intent.slots, **known})


def _changes(text: str, parts: list[str], use_case: UseCaseName) -> Mapping[str, Any]:
    """Return the slots that a reply names beside its yes or no; none when it denies anything."""
    rest = [part for part in parts if not _agrees(part) and part not in {"no", "nope"}]
    if use_case not in get_args(UseCase) or any(map(_NEGATED.search, rest)):
        return {}
    if use_case == "build_dataset" and (source := _SOURCE.search(text)):
        return {"source": source.group().rstrip(".,;!?")}
    tokens = tuple(tokenize(", ".join(rest)))
    return read_slots(cast("UseCase", use_case), Region("", tokens, ()))


def _agrees(part: str) -> bool:
    return _YES.fullmatch(part) is not None


def _parts(text: str) -> list[str]:
    """Return the reply's parts between punctuation, lower case, without courtesy."""
    plain = text.lower().replace("’", "'")
    parts = (_POLITE.sub(" ", part) for part in _BREAK.split(plain))
    return [found for part in parts if (found := " ".join(part.split()).strip(".,;!? "))]
