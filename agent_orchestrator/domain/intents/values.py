"""Slots that are numbers or choices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from agent_orchestrator.domain.intents.names import DATA_NOUNS
from agent_orchestrator.domain.intents.region import Region, Scalar, SlotValue, amount, whole
from agent_orchestrator.domain.intents.tokens import Kind, Token
from agent_orchestrator.domain.intents.vocabulary import words

_ALL: Final = 100
"""Percent."""

# --- shares ----------------------------------------------------------------------------------


def percent_of(region: Region) -> int | float | None:
    """Return the share named; the last one after ``to`` or ``at`` wins ("from 20% to 50%")."""
    found = region.literals(Kind.PERCENT)
    aims = [token.number for role, _, token in found if role in {"to", "at"}]
    values = aims[-1:] or [token.number for _, _, token in found[:1]]
    return whole(values[0]) if values else None


def promoted_to(region: Region) -> int | float | None:
    """Return the share to promote to; also ``to 50``, ``fully``, ``to all traffic``."""
    named = percent_of(region)
    if named is not None:
        return named
    for role, phrase, token in region.literals(Kind.NUMBER):
        if role in {"to", "at"} and len(phrase.content) == 1:
            return whole(token.number)
    goals = {token.norm for p in region.phrases if p.role == "to" for token in p.tokens}
    return _ALL if goals & {"all", "full"} or region.words & _EVERYTHING else None


_EVERYTHING: Final = words("fully everyone everybody entirely completely")

_STRATEGIES: Final[Mapping[str, str]] = {
    **{name: name for name in ("blue_green", "shadow", "ab", "champion_challenger", "ensemble")},
    "mirror": "shadow",
    "mirrored": "shadow",
    "challenger": "champion_challenger",
}
_GRADUAL: Final = words("canary gradually gradual progressive progressively")


def strategy_of(region: Region) -> str | None:
    """Return the rollout strategy, with its share where one is named."""
    if region.verb == "shadow":
        return "shadow"
    for token in region.included:
        if token.is_word(_STRATEGIES):
            return _STRATEGIES[token.norm]
    share = percent_of(region)
    canary = region.verb == "canary" or not region.words.isdisjoint(_GRADUAL)
    if isinstance(share, int) and (canary or share != _ALL):
        return f"canary_{share}pct"
    if canary:
        return "canary"
    refused = any(token.norm == "canary" for token in region.tokens)  # "without a canary"
    at_once = region.words & {"immediate", "immediately", "cutover"} or share == _ALL
    return "immediate" if at_once or refused else None


# --- choices ---------------------------------------------------------------------------------

_METHODS: Final = frozenset({"sft", "dpo", "grpo", "orpo"})
_METRICS: Final[Mapping[str, str]] = {
    **{
        name: name
        for name in (
            "accuracy",
            "workflow_completeness",
            "token_efficiency",
            "latency_threshold",
            "mcp_integration_quality",
            "risk_assessment_accuracy",
            "agent_routing_accuracy",
        )
    },
    "latency": "latency_threshold",
}


def method_of(region: Region) -> str | None:
    """Return the training method; preference pairs are what dpo learns from."""
    named = next((t.norm for t in region.included if t.is_word(_METHODS)), None)
    preferences = any(token.text.lower().startswith("preference") for token in region.included)
    return named or ("dpo" if preferences else None)


def mode_of(region: Region) -> str | None:
    """Return ``demo`` or ``production``; production data is no production run."""
    for phrase in region.phrases:
        norms = {token.norm for token in phrase.tokens}
        if "demo" in norms:
            return "demo"
        if norms & {"production", "prod"} and not norms & (DATA_NOUNS | {"logs", "traffic"}):
            return "production"
        if "full" in norms and norms & {"run", "training", "job"}:
            return "production"
    return None


def metrics_of(region: Region) -> list[str] | None:
    """Return the metrics named, in order."""
    found = dict.fromkeys(_METRICS[t.norm] for t in region.included if t.is_word(_METRICS))
    return list(found) or None


_TARGETS: Final[Mapping[str, str]] = {
    **{name: name for name in ("openrouter", "huggingface", "self_hosted", "local")},
    "hf": "huggingface",
    "locally": "local",
}
_BACKENDS: Final[Mapping[str, str]] = {
    "hf_space": "hf_space",
    "hf_jobs": "hf_jobs",
    **dict.fromkeys(("local", "locally", "laptop", "machine"), "local"),
}


def target_of(region: Region) -> str | None:
    """Return where the model shall live."""
    return next((_TARGETS[t.norm] for t in region.included if t.is_word(_TARGETS)), None)


def backend_of(region: Region) -> str | None:
    """Return where the training shall run; a local file says nothing about it."""
    for phrase in region.phrases:
        for token in phrase.content:
            file = token.norm == "local" and phrase.content[-1].is_word(DATA_NOUNS | {"file"})
            if token.is_word(_BACKENDS) and not file:
                return _BACKENDS[token.norm]
        if any(token.norm == "locally" for token in phrase.tokens):
            return "local"
    return None


def drill_of(region: Region) -> bool | None:
    """Return True for a rollback that is only an exercise."""
    return True if region.words & {"drill", "rehearsal", "exercise"} else None


def arm_of(region: Region) -> str | None:
    """Return the arm of a rollout."""
    if region.words & {"candidate", "canary", "challenger"}:
        return "candidate"
    return "stable" if region.words & {"stable", "baseline", "champion"} else None


# --- tables of values ------------------------------------------------------------------------

_OVERRIDES: Final[Mapping[str, str]] = {
    **{
        name: name
        for name in (
            "learning_rate",
            "batch_size",
            "max_length",
            "max_steps",
            "seed",
            "weight_decay",
            "warmup_ratio",
            "gradient_accumulation",
        )
    },
    "lr": "learning_rate",
    "epoch": "num_epochs",
    "epochs": "num_epochs",
    "batch": "batch_size",
    "bs": "batch_size",
    "rank": "lora_rank",
    "r": "lora_rank",
    "alpha": "lora_alpha",
    "steps": "max_steps",
}
_FRACTIONAL: Final = frozenset({"learning_rate", "weight_decay", "warmup_ratio"})
#: They follow their number: "3 epochs".
_COUNTED: Final = frozenset({"epoch", "epochs", "steps"})
_FILLERS: Final = words("of to = : at is a the")


def overrides_of(region: Region) -> dict[str, Scalar] | None:
    """Return the hyperparameters named: ``lr 2e-5``, ``3 epochs``, ``batch size of 8``."""
    found: dict[str, Scalar] = {}
    tokens = region.tokens
    for i, token in enumerate(tokens):
        if not token.is_word(_OVERRIDES):
            continue
        ahead = next((t for t in tokens[i + 1 : i + 4] if t.norm not in _FILLERS), None)
        assigned = tokens[i + 1 : i + 2] and tokens[i + 1].norm in {"=", ":", "of"}
        before = tokens[i - 1] if i and token.norm in _COUNTED and not assigned else None
        values = [amount(t) for t in (before, ahead) if t is not None]
        value = next((v for v in values if v is not None), None)
        if value is not None:
            key = _OVERRIDES[token.norm]
            found.setdefault(key, value if key in _FRACTIONAL else whole(value))
    return found or None


def space_of(region: Region) -> dict[str, Scalar | list[Scalar]] | None:
    """Return the values to try: ``learning rate 1e-5, 2e-5 or 5e-5``, ``rank=[8,16]``."""
    found: dict[str, Scalar | list[Scalar]] = {}
    for i, token in enumerate(region.tokens):
        if token.is_word(_OVERRIDES):
            key = _OVERRIDES[token.norm]
            numbers = _listed(region.tokens[i + 1 :])
            if len(numbers) > 1:
                found[key] = [n if key in _FRACTIONAL else whole(n) for n in numbers]
    return found or None


def _listed(tokens: Sequence[Token]) -> list[float]:
    """Return the numbers of a list; what counts something else ("…, 6 trials") ends it."""
    found: list[float] = []
    for i, token in enumerate(tokens):
        value = amount(token)
        if value is None and token.norm not in _LISTED:
            break
        if value is not None and tokens[i + 1 : i + 2] and tokens[i + 1].is_word(_UNITS):
            break
        found += [] if value is None else [value]
    return found


_LISTED: Final = _FILLERS | words(", [ ( or and among from over in with values")
_UNITS: Final = words("trial trials setting settings epoch epochs step steps example examples")


def trials_of(region: Region) -> int | float | None:
    """Return the number of trials."""
    return _counted_before(region, words("trial trials settings"))


def repetitions_of(region: Region) -> int | float | None:
    """Return how often each example is to be asked."""
    return _counted_before(region, words("repetition repetitions repeats times"))


_EXAMPLES: Final = words("example examples samples pairs traces riddles tasks")


def examples_of(region: Region) -> int | float | None:
    """Return the most examples to take; "at least 200" names no most, so it takes all."""
    return _counted_before(region, _EXAMPLES, most=True)


def trained_examples_of(region: Region) -> int | float | None:
    """Return the most examples to train on; "at least 200" are 200 where a demo would take less."""
    whole_run = mode_of(region) == "production"
    return _counted_before(region, _EXAMPLES, most=whole_run)


def _counted_before(
    region: Region, nouns: frozenset[str], *, most: bool = False
) -> int | float | None:
    """Return the number before a noun; ``most`` leaves out those that are a least."""
    for before, noun in pairwise(region.tokens):
        if noun.is_word(nouns) and before.kind is Kind.NUMBER:
            return None if most and _is_least(region, before) else whole(before.number)
    return None


_LEAST: Final = re.compile(r".*\b(at least|minimum( of)?|more than|over|not? (fewer|less) than)")


def _is_least(region: Region, number: Token) -> bool:
    """Return whether a number may be exceeded: "at least 200", "200 or more"."""
    place = next(i for i, token in enumerate(region.tokens) if token is number)
    norms = [token.norm for token in region.tokens]
    said = " ".join(norms[max(0, place - 3) : place])
    return bool(_LEAST.fullmatch(said)) or norms[place + 1 : place + 3] == ["or", "more"]


def no_cache_of(region: Region) -> bool | None:
    """Return True when every example is to be asked again."""
    return True if {t.norm for t in region.tokens} & {"fresh", "afresh", "anew"} else None


_MONTH: Final = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])")


def month_of(region: Region) -> str | None:
    """Return the calendar month, ``2026-11``."""
    return next((t.text for t in region.tokens if _MONTH.fullmatch(t.text)), None)


_DAYS: Final = {"day": 1, "days": 1, "week": 7, "weeks": 7, "month": 30, "months": 30}


def filters_of(region: Region) -> dict[str, Scalar] | None:
    """Return which examples to take: success, days, feedback_score (at least), limit."""
    found: dict[str, Scalar] = {}
    tokens = region.included
    if region.words & {"success", "successful", "succeeded", "successes"}:
        found["success"] = True
    for i, token in enumerate(tokens):
        value = amount(token)
        if value is None:
            continue
        after = [t.norm for t in tokens[i + 1 : i + 3]]
        before = {t.norm for t in tokens[max(0, i - 6) : i]}
        units = [_DAYS[word] for word in after if word in _DAYS]
        if units:
            found["days"] = whole(value * units[0])
        elif before & {"feedback", "score", "scores", "rating"}:
            found["feedback_score"] = whole(value)
        elif {"examples", "traces", "samples", "pairs"} & {*after} and not _is_least(region, token):
            found["limit"] = whole(value)
    return found or None


# --- simulation ------------------------------------------------------------------------------

_LABELS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("stable", "baseline", "champion", "stable_rate"), "stable_rate"),
    **dict.fromkeys(("candidate", "challenger", "candidate_rate"), "candidate_rate"),
    **dict.fromkeys(("weight", "canary", "share", "traffic", "split"), "weight"),
    **dict.fromkeys(("requests", "limit", "max_requests"), "max_requests"),
    "runs": "runs",
    "seed": "seed",
}
#: Labels that always stand before their amount.
_KEYS: Final = words("stable_rate candidate_rate max_requests weight seed")
_BETWEEN: Final = words("on for in errors error failures failure good bad")
_UNLABELLED: Final = _FILLERS | words("with rate rates")
_NEAR: Final = 12
"""Tokens before an amount in which its label is looked for."""


def simulated(region: Region) -> dict[str, SlotValue]:
    """Return each amount under the nearest word for an arm, the weight or a limit.

    The rates are of good requests, 0..1, so that a rate of errors is turned round.
    """
    found: dict[str, SlotValue] = {}
    tokens = [token for token in region.tokens if not token.is_word(_UNLABELLED)]
    bad = any(token.norm.startswith(("error", "fail")) for token in tokens)
    for i, token in enumerate(tokens):
        value = amount(token)
        label = _label(tokens, i) if value is not None else ""
        if value is None or not label:
            continue
        if label.endswith("_rate"):
            rate = value / _ALL if token.kind is Kind.PERCENT else value
            found.setdefault(label, round(1 - rate if bad else rate, 9))
        else:
            found.setdefault(label, whole(value))
    return found


def _label(tokens: Sequence[Token], i: int) -> str:
    """``5% errors on the candidate`` has it after the amount, ``candidate rate 0.9`` before."""
    if i and tokens[i - 1].norm in _KEYS:
        return _LABELS[tokens[i - 1].norm]
    for token in tokens[i + 1 : i + 5]:
        if token.norm in _LABELS:
            return _LABELS[token.norm]
        if token.norm not in _BETWEEN:
            break
    for token in reversed(tokens[max(0, i - _NEAR) : i]):
        if amount(token) is not None:
            break
        if token.norm in _LABELS:
            return _LABELS[token.norm]
    return ""
