"""A GGUF file as the local model server answers with it: llama.cpp decodes, we choose tokens.

The prompt is the chat template rendered by jinja and tokenized without additions, exactly as for
the model of safetensors that the file was made from, so that the two can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent_orchestrator.trainer.generation import (
    BadPromptError,
    Generation,
    PromptTooLongError,
    advance,
)
from agent_orchestrator.trainer.gguf.llama import Model, load_library
from agent_orchestrator.trainer.gguf.template import compile_template

#: Tokens of context at most: the cache is allocated whole, and modern models were trained with more
#: than this machine has room for.
MOST_CONTEXT: Final = 8192


class GgufModel:
    """One loaded file; requests are answered one after the other."""

    def __init__(self, library: Path, file: Path, *, threads: int) -> None:
        """Load ``file`` with the library of the folder ``library``. Raises LlamaError."""
        self._model = Model(load_library(library), file, threads=threads, most_context=MOST_CONTEXT)
        self._template = compile_template(self._model.chat_template or "")
        self._special = self._model.special()

    def prepare(self, generation: Generation) -> None:
        """See ``LoadedModel``."""
        from jinja2 import TemplateError

        if self._model.chat_template is None:
            raise BadPromptError("The model has no chat template.")
        try:
            text = self._template.render(
                messages=list(generation.messages), add_generation_prompt=True, **self._special
            )
        except TemplateError as error:
            raise BadPromptError(f"The model does not take these messages: {error}") from error
        generation.prompt = self._model.tokenize(text)
        longest = self._model.context_tokens
        if len(generation.prompt) + 1 > longest:
            raise PromptTooLongError(
                f"The prompt has {len(generation.prompt)} tokens; the model takes {longest - 1}."
            )
        generation.max_tokens = min(generation.max_tokens, longest - len(generation.prompt))
        if generation.temperature > 0:
            import numpy as np

            generation.sampler = np.random.default_rng(generation.seed)

    def decode(self, batch: Sequence[Generation]) -> None:
        """See ``LoadedModel``."""
        for generation in batch:
            self._model.begin(generation.prompt)
            while not advance(generation, self._choose(generation), self):
                self._model.feed(generation.tokens[-1])

    def close(self) -> None:
        """See ``LoadedModel``."""
        self._model.close()

    def ends(self, token: int) -> bool:
        """See ``Words``."""
        return self._model.ends(token)

    def text(self, tokens: Sequence[int]) -> str:
        """See ``Words``."""
        return b"".join(map(self._model.piece, tokens)).decode(errors="replace")

    def _choose(self, generation: Generation) -> int:
        import numpy as np

        logits = np.ctypeslib.as_array(self._model.logits())
        if generation.temperature == 0:
            return int(logits.argmax())
        scaled = logits.astype(np.float64) / generation.temperature
        odds = np.exp(scaled - scaled.max())
        return int(generation.sampler.choice(len(odds), p=odds / odds.sum()))
