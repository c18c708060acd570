"""Noun phrases: what a clause talks about, and in which role.

A clause falls into phrases at its prepositions, auxiliaries and conjunctions. A phrase is worth as
much as its head: in ``the feature_dev branch`` the head is a branch, so no agent is meant, while
``the feature_dev model`` is about the agent's model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from agent_orchestrator.domain.intents.manners import MARKERS
from agent_orchestrator.domain.intents.tokens import Kind, Token, looks_like_model
from agent_orchestrator.domain.intents.vocabulary import IDENTIFIERS, words

PREPOSITIONS: Final = words(
    "behind alongside towards toward despite to for on with using from in into onto at of by via "
    "as against vs versus over through under about than within across per during based_on after "
    "before since until between among"
)
AUXILIARIES: Final = words(
    "become is are was were be been being am has have had do does did will would can could should "
    "shall may might must need needs ought"
)
NEGATORS: Final = words("not never nor neither nothing nobody none no hardly without")
EXCLUDING: Final = words("not excluding except without unlike nor")
_BREAKS: Final = AUXILIARIES | words(
    "measuring and or but & + that which who whom whose what how why when where whether if "
    "because while starting beginning going finish done doing coming looking keeps misses missing "
    "so then than still been"
)
#: After its noun they end a phrase ("the model | trained on …"), before it they modify it.
_PARTICIPLES: Final = words(
    "trained running serving registered finished failed built made produced created used fails "
    "working performing"
)
DETERMINERS: Final = words(
    "the a an our my your their its his her this that these those some any all each every another "
    "both no either"
)
PRONOUNS: Final = words("it this that them these those one him her itself everything")
ADVERBS: Final = words(
    "called named now again please asap immediately today tonight tomorrow better also too "
    "instead yet first just only really actually quickly soon properly once further fully "
    "entirely directly locally overnight here there next back up down out off away live already "
    "right ok okay thanks thx currently lately well harder more longer hard carefully always ever "
    "even maybe straight early slowly gradually quick fast anyway though kindly very much so me "
    "us another both"
)
#: Adjectives that leave a phrase about our models what it is.
_MODIFIERS: Final = words(
    "langsmith preference new newest latest best better improved current present old older last "
    "previous prior earlier recent finetuned trained retrained tuned fresh freshly stable "
    "production prod demo quick short full fullscale complete whole entire small large big tiny "
    "bigger smaller same other second third next final winning worse bad good broken buggy faulty "
    "failing failed stuck running quantized quantised merged language own automatic custom local "
    "remote registered available existing known active live half tripped open proper real "
    "successful possible different pending ongoing supervised registry deployed promoted overall "
    "detailed underlying immediate hf huggingface openrouter self_hosted hub 4-bit 5-bit 8-bit "
    "16-bit llama.cpp first initial up-to-date well-performing labelled labeled curated separate "
    "realised actual side- by-side head-to-head base cancelled interrupted killed aborted crashed"
)

_CLASSES: Final[Mapping[str, str]] = {
    "agentnoun": "agent agents subagent subagents bot one ones",
    "model": "model llm checkpoint checkpoints weights adapter adapters lora candidate challenger "
    "champion base_model variant",
    "models": "models versions history lineage candidates challengers generations",
    "version": "version",
    "canary": "canary canaries rollout rollouts",
    "experiment": "experiment experiments",
    "search": "search",
    "hyperparameters": "hyperparameter hyperparameters learning_rate",
    "cost": "cost costs bill budget spending expenses",
    "endpoint": "endpoint endpoints",
    "space": "space hf_space",
    "training": "training trainings retraining finetuning finetune sft dpo grpo orpo train retrain",
    "job": "job jobs run runs session round pass cycle drill rounds",
    "evaluation": "evaluation evaluations eval evals benchmark comparison assessment",
    "deployment": "deployment deploy redeployment",
    "rollback": "rollback",
    "promotion": "promotion",
    "conversion": "conversion quantization quantisation gguf",
    "reset": "reset resets",
    "dataset": "dataset datasets data examples corpus traces samples pairs trajectories feedback",
    "breaker": "breaker circuit breakers",
    "arm": "arm arms",
    "status": "status progress state health eta loss update updates news verdict evidence step "
    "steps stats numbers overview report epoch curve curves logs log summary result results "
    "details standing situation score scores accuracy findings",
    "traffic": "traffic share split percentage weight requests load",
    "simulation": "simulation simulations",
    "baseline": "baseline",
    "metric": "metric metrics latency token_efficiency workflow_completeness latency_threshold "
    "mcp_integration_quality risk_assessment_accuracy agent_routing_accuracy",
    "option": "strategy method target backend mode",
    "strategy": "ab shadow ensemble blue_green champion_challenger",
}
NOUNS: Final[Mapping[str, str]] = {
    word: name for name, members in _CLASSES.items() for word in members.split()
}
_DATA: Final = frozenset(word for word, kind in NOUNS.items() if kind == "dataset")
_MODES: Final = words("demo production full")
#: Files and formats; they say "conversion" only beside GGUF or a quantization.
_CONTAINERS: Final = words("file files build format export copy binary artifact")
_LITERALS: Final[Mapping[Kind, str]] = {
    Kind.VERSION: "version",
    Kind.REPO: "repo",
    Kind.JOB: "job_id",
    Kind.PATH: "path",
    Kind.QUANT: "conversion",
    Kind.PERCENT: "traffic",
    Kind.NUMBER: "number",
    Kind.QUOTE: "quote",
    Kind.AGENT: "agent",
}
#: Class of a phrase that is about something else than our models.
FOREIGN: Final = "foreign"


def is_adverb(token: Token) -> bool:
    """Return whether the token only colours the clause (``now``, ``quickly``)."""
    return token.kind is Kind.WORD and (
        token.norm in ADVERBS
        or token.norm in MARKERS
        or (token.norm.endswith("ly") and token.norm not in {"only", "family", "reply", "apply"})
    )


def certain(token: Token) -> bool:
    """Return whether an agent's name stands in a spelling that is no everyday word."""
    return (
        token.text.lower() in IDENTIFIERS
        or token.addressed
        or token.text.lower().endswith(("agent", "bot", "subagent", "writer"))
    )


@dataclass(frozen=True)
class Phrase:
    """Neighbouring nouns with their modifiers. ``role`` is the preposition, ``""`` for none."""

    role: str
    tokens: tuple[Token, ...]
    excluded: bool = False
    """After ``not``, ``except``, ``without``, ``instead of``."""

    @cached_property
    def content(self) -> tuple[Token, ...]:
        """The tokens without determiners, adverbs and punctuation."""
        return tuple(
            token
            for token in self.tokens
            if token.kind is not Kind.PUNCT
            and not token.is_word(DETERMINERS)
            and not is_adverb(token)
        )

    @cached_property
    def determined(self) -> bool:
        """Whether it starts with an article or the like."""
        return bool(self.tokens) and self.tokens[0].is_word(DETERMINERS)

    @cached_property
    def kind(self) -> str:
        """Class of the head: one of NOUNS' classes, a literal's, ``it``, ``""`` or FOREIGN."""
        if not self.content:
            pronoun = any(token.is_word(PRONOUNS) for token in self.tokens)
            return "it" if pronoun else ""
        *before, head = _drop_amounts(self.content)
        if head.is_word(PRONOUNS) and not before:
            return "it"
        if head.kind is Kind.WORD:
            # "to the previous one": a known adjective alone leaves its noun out.
            return "it" if head.norm in _MODIFIERS else self._noun(head, before)
        if before and before[-1].kind is Kind.WORD:
            inner = NOUNS.get(before[-1].norm)
            if inner is None and before[-1].norm not in _MODIFIERS:
                return FOREIGN
            return inner or _literal(head)
        return _literal(head)

    def _noun(self, head: Token, before: Sequence[Token]) -> str:
        kind = NOUNS.get(head.norm, FOREIGN)
        gguf = any(token.kind is Kind.QUANT or token.norm == "gguf" for token in before)
        if gguf and (kind in {"model", "version", "job"} or head.norm in _CONTAINERS):
            return "conversion"
        if kind == "job":
            for token in reversed(before):
                if token.is_word(_MODES):
                    return "training"
                if token.is_word(NOUNS) and NOUNS[token.norm] not in {"job", "model", "agentnoun"}:
                    return NOUNS[token.norm]
        return kind

    @cached_property
    def plain(self) -> bool:
        """Whether we know every modifier: ``the new docs model``, not ``the pricing model``."""
        known = NOUNS.keys() | _MODIFIERS
        if self.kind == "conversion":
            known |= _CONTAINERS
        if self.kind != "dataset":
            known -= _DATA  # "the data model"
        return all(t.kind is not Kind.WORD or t.norm in known for t in self.content[:-1])

    @cached_property
    def topics(self) -> frozenset[str]:
        """Classes of all its nouns; none when it is foreign."""
        if self.kind == FOREIGN:
            return frozenset()
        return frozenset(NOUNS[token.norm] for token in self.content if token.is_word(NOUNS))

    @cached_property
    def mentioned(self) -> tuple[Token, ...]:
        """Agents named; none when the head is something of theirs that is no model."""
        if self.kind == FOREIGN:
            return ()
        named = tuple(token for token in self.content if token.kind is Kind.AGENT)
        if len(self.content) > 1 and not self.plain and not all(map(certain, named)):
            return ()
        return named

    @cached_property
    def agents(self) -> tuple[Token, ...]:
        """Agents meant: those mentioned, unless they are excluded."""
        return () if self.excluded else self.mentioned

    @cached_property
    def surely(self) -> tuple[Token, ...]:
        """Agents that this phrase makes certain: by their spelling, or by a noun of ours."""
        backed = bool(self.topics - {"dataset", "status", "deployment", "job"})
        return tuple(token for token in self.mentioned if backed or certain(token))


def _drop_amounts(content: Sequence[Token]) -> Sequence[Token]:
    """``feature_dev 50%`` has the head ``feature_dev``."""
    amounts = (Kind.PERCENT, Kind.NUMBER, Kind.QUOTE)
    end = len(content)
    while end > 1 and content[end - 1].kind in amounts and not content[end - 2].is_word(NOUNS):
        end -= 1
    return content[:end]


def _literal(head: Token) -> str:
    if head.kind is Kind.NAME:
        return "modelname" if looks_like_model(head.norm) else "name"
    return _LITERALS.get(head.kind, FOREIGN)


def phrases(tokens: Sequence[Token]) -> tuple[Phrase, ...]:
    """Split a clause (after its verb) into phrases; the first is the direct object, if any."""
    return tuple(_split(tokens))


def _split(tokens: Sequence[Token]) -> Iterator[Phrase]:
    role, excluded = "", False
    current: list[Token] = []
    for i, token in enumerate(tokens):
        following = tokens[i + 1] if i + 1 < len(tokens) else None
        opens = token.is_word(PREPOSITIONS) or token.is_word(EXCLUDING)
        listed = not current and i > 0 and tokens[i - 1].kind is Kind.PUNCT  # ", strategy: shadow"
        assigned = following is not None and following.norm in _ASSIGNING
        free = listed or assigned or _has_noun(current)
        option = free and _is_option(token, following)
        starts = option or _starts_object(token, current)
        if not (opens or starts or _breaks(token, current)):
            current.append(token)
            continue
        yield _phrase(role, current, excluded)
        if token.is_word(EXCLUDING):
            excluded = True
        elif current:
            excluded = False
        if token.is_word(PREPOSITIONS):
            role = token.norm
        elif option or not (starts or token.norm in _JOINTS):
            role = FREE
        current = [token] if starts else []
    yield _phrase(role, current, excluded)


def _phrase(role: str, tokens: Sequence[Token], excluded: bool) -> Phrase:
    return Phrase(role, tuple(tokens), excluded or (bool(tokens) and tokens[0].norm == "no"))


#: How many adverbs may follow a noun.
_NEAR: Final = 6


def _has_noun(tokens: Sequence[Token]) -> bool:
    last = next((token for token in reversed(tokens[-_NEAR:]) if not is_adverb(token)), None)
    return last is not None and (last.kind is not Kind.WORD or last.norm in NOUNS)


def _breaks(token: Token, current: Sequence[Token]) -> bool:
    """Return whether ``token`` ends the phrase and belongs to none."""
    if token.kind is Kind.PUNCT:
        return token.norm not in _ASSIGNING
    if token.norm in {"that", "this", "one"} and not current:
        return False
    if token.is_word(_BREAKS):
        return True
    after_literal = bool(current) and current[-1].kind not in {Kind.WORD, Kind.AGENT}
    participle = token.is_word(_PARTICIPLES) and _has_noun(current)
    gerund = token.kind is Kind.WORD and token.norm.endswith("ing") and token.norm not in NOUNS
    return participle or (gerund and after_literal)


def _starts_object(token: Token, current: Sequence[Token]) -> bool:
    """``give docs | a training run``, ``finetuning | it``."""
    if token.is_word(_ARTICLES):
        return _has_noun(current)
    return bool(current) and token.norm in {"it", "them"}


def _is_option(token: Token, following: Token | None) -> bool:
    """``train docs | seed 42``, ``train docs | demo mode``, ``to docs | blue-green``."""
    if token.is_word(_STANDALONE):
        return following is None or not following.is_word(NOUNS)
    if following is None:
        return False
    if token.is_word(_MODES):
        return following.is_word(_MODE_NOUNS)
    if token.kind is Kind.NUMBER:
        return following.is_word(_COUNTED)
    if token.norm == "canary":
        return following.kind is Kind.PERCENT
    value = following.kind is not Kind.WORD or following.is_word(_OPTION_VALUES)
    return token.is_word(OPTIONS) and (value or following.norm == "of")


#: Role of a phrase that is neither an object nor after a preposition.
FREE: Final = "~"
#: A conjunction goes on in the same role.
_JOINTS: Final = frozenset({"and", "or", ",", "&", "+", "(", ")"})
_ASSIGNING: Final = frozenset({"=", ":"})
_ARTICLES: Final = words("the a an another some our my your their")
OPTIONS: Final = words(
    "seed learning_rate lr epochs batch_size bs rank lora alpha max_length max_steps weight_decay "
    "warmup_ratio gradient_accumulation method mode strategy target backend metrics metric "
    "dataset base_model quantization output percent weight judge"
)
_OPTION_VALUES: Final = words(
    "demo production sft dpo grpo orpo shadow ab blue_green champion_challenger ensemble "
    "immediate canary openrouter huggingface self_hosted local hf_space hf_jobs rank alpha repo "
    "accuracy latency token_efficiency workflow_completeness latency_threshold "
    "mcp_integration_quality risk_assessment_accuracy agent_routing_accuracy"
)
_STANDALONE: Final = words(
    "blue_green champion_challenger ensemble shadow ab self_hosted openrouter huggingface "
    "hf_space hf_jobs locally"
)
_MODE_NOUNS: Final = words("mode run job training")
_COUNTED: Final = words("epoch epochs steps")
