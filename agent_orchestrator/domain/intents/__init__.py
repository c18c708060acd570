"""Intents: a sentence → a use case and its slots, "not ModelOps", or one clarifying question.

Deterministic and pure; the way from text to intent:

``tokens``        literals first (job ids, versions, repositories …), then words
``clauses``       clauses, and whether each asks (``requests``), supposes, denies, reports …
``phrases``       noun phrases with their role and the class of their head
``frames``        verb + class of the object → use case
``readings``      questions that ask to look something up
``conversation``  what carries over from clause to clause, what is taken back
``reference``     which agent is meant, what "it" stands for
``slots``         the values

``vocabulary``, ``verbs`` and ``manners`` hold the words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, get_args

from agent_orchestrator.domain.intents.clauses import Clause, Posture, clauses
from agent_orchestrator.domain.intents.conversation import Candidate, candidates, settle
from agent_orchestrator.domain.intents.reference import agents_meant, only_one
from agent_orchestrator.domain.intents.region import Region, SlotValue
from agent_orchestrator.domain.intents.slots import read_slots
from agent_orchestrator.domain.intents.tokens import Kind, Token, tokenize
from agent_orchestrator.domain.intents.vocabulary import AGENTS
from agent_orchestrator.domain.use_cases import UseCase

__all__ = ["AGENTS", "CHANGING", "Intent", "SlotValue", "UseCase", "parse"]

#: Use cases that spend or change something; they never fire unless asked for in so many words.
CHANGING: Final[frozenset[UseCase]] = frozenset(get_args(UseCase)) - {
    "monitor_training_job",
    "rollout_status",
    "simulate_canary",
    "list_agent_models",
    "list_costs",
    "check_dataset",
    "show_dataset",
    "list_datasets",
    "list_endpoints",
    "endpoint_status",
    "space_status",
}


@dataclass(frozen=True, slots=True)
class Intent:
    """What a sentence asks for."""

    use_case: UseCase | None
    """None for what is not ModelOps, and while ``clarify`` waits for an answer."""
    slots: Mapping[str, SlotValue] = field(default_factory=dict)
    """Only what the sentence says, by the names of the use case's request."""
    clarify: str | None = None
    """One question, when something required is missing or the wish is not certain."""
    about: UseCase | None = None
    """What the question is about: with its answer, the use case that was meant."""


NOT_MODELOPS: Final = Intent(None)


def parse(sentence: str) -> Intent:
    """Return the intent of ``sentence``; it raises nothing, whatever the text."""
    settled = settle(clauses(tokenize(sentence)))
    found = candidates(settled)
    if not found:
        return NOT_MODELOPS
    # "How is docs doing? Roll it back." asks for the latter.
    chosen = next((c for c in found if not c.question and not c.tentative), found[0])
    again = [c for c in found if c.use_case == chosen.use_case]
    if not _identified(chosen):
        chosen = next(filter(_identified, again), chosen)  # "do a demo run: train feature_dev"
    return _intent(chosen, settled, {candidate.index for candidate in again})


def _identified(candidate: Candidate) -> bool:
    return any(token.kind in {Kind.AGENT, Kind.JOB} for token in candidate.tokens)


def _intent(chosen: Candidate, settled: Sequence[Clause], again: set[int]) -> Intent:
    use_case, scene, before = chosen.use_case, chosen.scene, settled[: chosen.index]
    options = _options(chosen, settled, again)
    slots = read_slots(use_case, Region(scene.verb if scene else "", chosen.tokens, options))
    slots |= _referred(chosen, slots, before)
    agents: tuple[str, ...] = ()
    if use_case not in _WITHOUT_AGENT:
        agents = agents_meant(use_case, chosen.tokens, before, options)
    if len(agents) == 1:
        slots["agent"] = agents[0]
    question = _question(use_case, slots, agents)
    if question is not None:
        elsewhere = scene is not None and scene.elsewhere
        if elsewhere or chosen.tentative:
            return NOT_MODELOPS
        return Intent(None, slots, question, about=use_case)
    if chosen.tentative and use_case in CHANGING:
        question = f"Shall I {_DOING[use_case].format_map(_named(slots))} now?"
        return Intent(None, slots, question, about=use_case)
    return Intent(use_case, slots)


# --- around the request ----------------------------------------------------------------------


def _options(chosen: Candidate, settled: Sequence[Clause], again: set[int]) -> tuple[Token, ...]:
    """The clauses that say how: "use dpo", "20% canary", and the same request said again."""
    return tuple(
        token
        for i, clause in enumerate(settled)
        if i != chosen.index and (i in again or _says_how(clause, after=i == chosen.index + 1))
        for token in clause.tokens
    )


def _says_how(clause: Clause, *, after: bool) -> bool:
    """``after`` a request its sentence may go on: "train docs, demo mode is enough"."""
    if clause.posture in {Posture.DIRECTIVE, Posture.FRAGMENT}:
        return True
    return after and clause.link == "," and clause.posture is Posture.STATEMENT


def _referred(
    chosen: Candidate, slots: Mapping[str, SlotValue], before: Sequence[Clause]
) -> dict[str, SlotValue]:
    """What an ``it`` brings along from earlier clauses."""
    if chosen.scene is not None and chosen.scene.objects[0].kind not in {"it", ""}:
        return {}
    name, kind = _REFERRED.get(chosen.use_case, ("", Kind.QUOTE))
    value = only_one(before, kind) if name else None
    said = name in slots or "model" in slots
    return {} if value is None or said else {name: value}


_REFERRED: Final[Mapping[UseCase, tuple[str, Kind]]] = {
    "monitor_training_job": ("job_id", Kind.JOB),
    "cancel_training_job": ("job_id", Kind.JOB),
    "resume_training_job": ("job_id", Kind.JOB),
    "wake_endpoint": ("endpoint", Kind.NAME),
    "sleep_endpoint": ("endpoint", Kind.NAME),
    "deploy_model_to_agent": ("version", Kind.VERSION),
    "evaluate_model_vs_baseline": ("version", Kind.VERSION),
    "convert_model_to_gguf": ("version", Kind.VERSION),
}

_WITHOUT_AGENT: Final[frozenset[UseCase]] = frozenset(
    {
        "simulate_canary",
        "run_experiment",
        "show_dataset",
        "list_endpoints",
        "endpoint_status",
        "wake_endpoint",
        "sleep_endpoint",
        "space_status",
    }
)

# --- what is missing -------------------------------------------------------------------------

_WHICH_AGENT: Final[Mapping[UseCase, str]] = {
    "build_dataset": "For which agent shall I build the data set?",
    "train_subagent_model": "Which agent shall I train?",
    "evaluate_model_vs_baseline": "Which agent's model shall I evaluate?",
    "deploy_model_to_agent": "To which agent shall I deploy?",
    "promote_canary": "Which agent's canary shall I promote?",
    "rollback_deployment": "Which agent shall I roll back?",
    "rollout_status": "Which agent's rollout do you mean?",
    "reset_breaker": "Which agent's breaker shall I reset?",
    "list_agent_models": "Which agent's models do you want to see?",
    "search_hyperparameters": "For which agent shall I search?",
    "check_dataset": "For which agent shall I check the data?",
}
_WHICH_ONE: Final[Mapping[UseCase, tuple[str, str]]] = {
    "search_hyperparameters": (
        "space",
        "Which values shall I try? Say, for example: learning rate 1e-5, 2e-5 or 5e-5.",
    ),
    "run_experiment": ("template", "Which experiment? Name its file, or one in the configuration."),
    "show_dataset": ("dataset", "Which data set? Name it."),
    "endpoint_status": ("endpoint", "Which endpoint? Name it."),
    "wake_endpoint": ("endpoint", "Which endpoint shall I wake? Name it."),
    "sleep_endpoint": ("endpoint", "Which endpoint shall I send to sleep? Name it."),
}


def _question(
    use_case: UseCase, slots: Mapping[str, SlotValue], agents: Sequence[str]
) -> str | None:
    """Return the question to ask when something required is missing or said twice."""
    if len(agents) > 1:
        return f"One agent at a time: {' or '.join(agents)}?"
    if use_case in _WHICH_AGENT and "agent" not in slots:
        return f"{_WHICH_AGENT[use_case]} One of {', '.join(AGENTS)}."
    if use_case in _WHICH_ONE:
        slot, question = _WHICH_ONE[use_case]
        return None if slot in slots else question
    if use_case in {"monitor_training_job", "cancel_training_job", "resume_training_job"}:
        known = {"agent", "job_id"} & slots.keys()
        return None if known else "Which job? Give its id or the agent."
    if use_case == "convert_model_to_gguf":
        known = {"agent", "model"} & slots.keys()
        return None if known else "Which model shall I convert? Name a model id or an agent."
    return None


_DOING: Final[Mapping[UseCase, str]] = {
    "build_dataset": "build a data set for {agent}",
    "train_subagent_model": "train {agent}",
    "cancel_training_job": "cancel {job}",
    "evaluate_model_vs_baseline": "evaluate the model of {agent}",
    "deploy_model_to_agent": "deploy to {agent}",
    "promote_canary": "promote the canary of {agent}",
    "rollback_deployment": "roll back {agent}",
    "reset_breaker": "reset the breaker of {agent}",
    "convert_model_to_gguf": "convert {model}",
    "resume_training_job": "resume {job}",
    "search_hyperparameters": "search hyperparameters for {agent}",
    "run_experiment": "run the experiment {template}",
    "wake_endpoint": "wake {endpoint}",
    "sleep_endpoint": "send {endpoint} to sleep",
}


def _named(slots: Mapping[str, SlotValue]) -> dict[str, SlotValue]:
    agent = slots.get("agent", "")
    return {
        "agent": agent,
        "job": slots.get("job_id", f"the job of {agent}"),
        "model": slots.get("model", f"the model of {agent}"),
        "template": slots.get("template", ""),
        "endpoint": slots.get("endpoint", ""),
    }
