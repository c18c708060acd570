"""Counting tokens as a base model does, by its own tokenizer. Loading it takes no network."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from agent_orchestrator.agents.infrastructure.modelops.datasets.profile import TokenCounter
from agent_orchestrator.errors import InputError


def counter_of(path: Path, model: str) -> TokenCounter:
    """Return the counter of a ``tokenizer.json``; special tokens of a chat template not counted.

    Raises InputError for a file that is none.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise InputError(
            f"{path} is not a tokenizer: {error}.", remedy="Mend or remove the model."
        ) from error
    tokenizer.no_truncation()

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    return TokenCounter(count, f"by the tokenizer of {model}", exact=True)
