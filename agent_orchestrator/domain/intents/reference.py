"""What a request refers to: the agent it means, and what an ``it`` stands for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agent_orchestrator.domain.intents.clauses import Clause
from agent_orchestrator.domain.intents.phrases import DETERMINERS, Phrase, certain, phrases
from agent_orchestrator.domain.intents.tokens import Kind, Token
from agent_orchestrator.domain.intents.vocabulary import words
from agent_orchestrator.domain.use_cases import UseCase

#: Roles in which an agent is meant, the likeliest first; then any other.
_ROLES: Final = ("", "of", "for", "on", "to", "in", "into", "through", "at", "~", "from", "about")
_RECEIVING: Final = ("to", "for", "on", "of", "", "in", "into", "at", "through", "~")
#: Roles of who does it or is only compared; "with" is one, too, except in _WITH.
_COMPARED: Final = words("by via using against vs versus than as since per")
#: Things of a coder; an ``it`` after them may well mean one of them.
_CODE: Final = words(
    "pull request requests branch branches repo repository code pr prs commit commits page pages "
    "site website folder file files script scripts server service app application endpoint "
    "migration migrations ticket bug button form table component function class module database "
    "schema test tests build pipeline workflow change changes patch merge diff feature release"
)
#: "What's up with docs" and "compare acme/x with the docs baseline" mean the agent.
_WITH: Final[frozenset[UseCase]] = frozenset(
    {
        "monitor_training_job",
        "rollout_status",
        "list_agent_models",
        "evaluate_model_vs_baseline",
    }
)
#: Use cases whose verbs a coder never uses of code.
_UNMISTAKABLE: Final[frozenset[UseCase]] = frozenset(
    {"train_subagent_model", "promote_canary", "resume_training_job"}
)


def agents_meant(
    use_case: UseCase,
    tokens: Sequence[Token],
    before: Sequence[Clause],
    options: Sequence[Token],
) -> tuple[str, ...]:
    """Return the agents that a request is for: none, one, or several joined by "and".

    They stand in the request, else in what was said before it, else in what goes with it.
    """
    named = _named(use_case, tokens)
    if named:
        return named
    unmistakable = use_case in _UNMISTAKABLE
    if unmistakable or not _speaks_of_code(before):
        earlier = _last_agent(before, anyhow=unmistakable)
        if earlier is not None:
            return (earlier,)
    return _named(use_case, options)


def _named(use_case: UseCase, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Return the agents in the best role they have."""
    order = _RECEIVING if use_case == "deploy_model_to_agent" else _ROLES
    bystanding = _COMPARED if use_case in _WITH else _COMPARED | {"with"}
    by_role: dict[str, dict[str, None]] = {}
    for phrase in phrases(tokens):
        for token in phrase.agents:
            if phrase.role not in bystanding and _meant(use_case, phrase, token):
                by_role.setdefault(phrase.role, {})[token.norm] = None
    best = next((role for role in (*order, *by_role) if role in by_role), None)
    return () if best is None else tuple(by_role[best])


def _meant(use_case: UseCase, phrase: Phrase, token: Token) -> bool:
    """``on the documentation data set`` names a data set, ``on docs' traces`` an agent."""
    return phrase.kind != "dataset" or use_case == "build_dataset" or token.possessive


def _last_agent(clauses: Sequence[Clause], *, anyhow: bool) -> str | None:
    """Return the agent that these clauses speak about, the last one named.

    ``anyhow``: an everyday name counts wherever it stands.
    """
    for clause in reversed(clauses):
        tokens = clause.tokens
        sure = [
            token.norm
            for token, after in zip(tokens, [*tokens[1:], None], strict=True)
            if token.kind is Kind.AGENT
            and not (after is not None and after.is_word(_CODE))
            and (anyhow or certain(token) or _is_subject(token, tokens))
        ]
        sure += [token.norm for phrase in phrases(tokens) for token in phrase.surely]
        if sure:
            return sure[-1]
    return None


def _is_subject(token: Token, tokens: Sequence[Token]) -> bool:
    """Whether an everyday name opens its clause: ``docs keeps …``, ``the supervisor is …``."""
    return token is tokens[0] or (token is tokens[1] and tokens[0].is_word(DETERMINERS))


def _speaks_of_code(clauses: Sequence[Clause]) -> bool:
    return any(token.is_word(_CODE) for clause in clauses for token in clause.tokens)


def only_one(clauses: Sequence[Clause], kind: Kind) -> str | None:
    """Return the one literal of ``kind`` in these clauses, None when there are none or several."""
    found = {token.norm for clause in clauses for token in clause.tokens if token.kind is kind}
    return found.pop() if len(found) == 1 else None
