"""From conversations to what TRL's trainers take, each example measured in tokens.

Answers of SFT are tokenized here instead of in TRL: the mask does not depend on
``{% generation %}`` marks in the model's chat template. Examples that are too
long are left out instead of cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.rewards import COLUMNS
from agent_orchestrator.trainer.rows import Example, Message, Preference, Problem
from agent_orchestrator.trainer.spec import Hyperparameters, Method

IGNORED: Final = -100
"""The label that torch's cross-entropy leaves out."""

TrainerRow = dict[str, Any]


def prepare(
    method: Method, examples: Sequence[Any], tokenizer: Any, parameters: Hyperparameters
) -> list[TrainerRow]:
    """Return the rows for TRL's trainer of ``method``, of the examples that fit.

    An example fits when prompt and answer together have at most ``max_length`` tokens (of GRPO:
    prompt and ``max_completion_length``). Raises Refused (``bad_column``) when none fits or when no
    row has what the rewards ask for.
    """
    make = _MAKERS[method]
    made = (make(example, tokenizer, parameters) for example in examples)
    rows = [row for row in made if row is not None]
    if not rows:
        raise Refused(
            "bad_column",
            f"None of the {len(examples)} examples fits into max_length = {parameters.max_length} "
            "tokens.",
            "Raise max_length or shorten the examples.",
        )
    return rows


def _answer(example: Example, tokenizer: Any, parameters: Hyperparameters) -> TrainerRow | None:
    """Return ``input_ids`` and ``labels``, the loss masked outside the answer."""
    before, after = _tokens(tokenizer, example.prompt, example.answer)
    if len(before) + len(after) > parameters.max_length:
        return None
    return {"input_ids": before + after, "labels": [IGNORED] * len(before) + after}


def _preference(pair: Preference, tokenizer: Any, parameters: Hyperparameters) -> TrainerRow | None:
    """Return a conversational pair."""
    for answer in (pair.chosen, pair.rejected):
        if sum(map(len, _tokens(tokenizer, pair.prompt, answer))) > parameters.max_length:
            return None
    return {
        "prompt": list(pair.prompt),
        "chosen": _said(pair.chosen),
        "rejected": _said(pair.rejected),
    }


def _problem(problem: Problem, tokenizer: Any, parameters: Hyperparameters) -> TrainerRow | None:
    """Return a conversational prompt with the columns of all rewards, None where it has none."""
    needed = [COLUMNS[name] for name in parameters.rewards]
    if not any(column in problem.wanted for column in needed):
        raise Refused(
            "bad_column",
            f"A problem has {', '.join(sorted(problem.wanted))}; the rewards "
            f"{', '.join(parameters.rewards)} need {' or '.join(needed)}.",
            "Choose rewards that the data set can be judged by, or add the column.",
        )
    opening = _render(tokenizer, list(problem.prompt), answering=True)
    ids = tokenizer(opening, add_special_tokens=False).input_ids
    if len(ids) + parameters.max_completion_length > parameters.max_length:
        return None
    return {"prompt": list(problem.prompt), **{c: problem.wanted.get(c) for c in needed}}


_MAKERS: Final[Mapping[Method, Callable[[Any, Any, Hyperparameters], TrainerRow | None]]] = {
    "sft": _answer,
    "dpo": _preference,
    "orpo": _preference,
    "grpo": _problem,
}


def _said(answer: str) -> list[Message]:
    return [{"role": "assistant", "content": answer}]


def _tokens(tokenizer: Any, prompt: Sequence[Message], answer: str) -> tuple[list[int], list[int]]:
    """Return the tokens of the prompt and of its answer.

    Apart, so that no token spans the border: the model starts from just these at inference.
    """
    texts = list(rendered(tokenizer, prompt, answer))
    before, after = tokenizer(texts, add_special_tokens=False).input_ids
    return before, after


def rendered(tokenizer: Any, prompt: Sequence[Message], answer: str) -> tuple[str, str]:
    """Return the texts of the prompt and of its answer as the chat template writes them."""
    opening = _render(tokenizer, list(prompt), answering=True)
    text = _render(tokenizer, [*prompt, *_said(answer)], answering=False)
    if not text.startswith(opening):
        raise Refused(
            "bad_spec",
            "The base model's chat template writes a prompt differently once it is answered.",
            "Choose a base model whose template opens an answer as add_generation_prompt does.",
        )
    return opening, text[len(opening) :]


def _render(tokenizer: Any, messages: list[Message], *, answering: bool) -> str:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answering)
    return str(text)
