"""From conversations to token ids, the loss masked outside the last answer.

Done here instead of in TRL: the mask does not depend on ``{% generation %}`` marks in the model's
chat template, and an example that is too long is left out and counted instead of cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.rows import Example

IGNORED: Final = -100
"""The label that torch's cross-entropy leaves out."""


def tokenize(examples: Sequence[Example], tokenizer: Any, max_length: int) -> list[dict[str, Any]]:
    """Return ``input_ids`` and ``labels`` of the examples that fit into ``max_length`` tokens.

    Raises Refused (``bad_column``) when none fits.
    """
    rows = []
    for example in examples:
        prompt = list(example.prompt)
        whole = [*prompt, {"role": "assistant", "content": example.answer}]
        opening = _render(tokenizer, prompt, answering=True)
        text = _render(tokenizer, whole, answering=False)
        if not text.startswith(opening):
            raise Refused(
                "bad_spec",
                "The base model's chat template writes a prompt differently once it is answered.",
                "Choose a base model whose template opens an answer as add_generation_prompt does.",
            )
        # Apart, so that no token spans the border: the model starts from just these at inference.
        before, after = tokenizer(
            [opening, text[len(opening) :]], add_special_tokens=False
        ).input_ids
        if len(before) + len(after) <= max_length:
            labels = [IGNORED] * len(before) + after
            rows.append({"input_ids": before + after, "labels": labels})
    if not rows:
        raise Refused(
            "bad_column",
            f"None of the {len(examples)} examples fits into max_length = {max_length} tokens.",
            "Raise max_length or shorten the examples.",
        )
    return rows


def _render(tokenizer: Any, messages: list[dict[str, str]], *, answering: bool) -> str:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answering)
    return str(text)
