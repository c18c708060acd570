"""Answers from local models: loaded on demand, greedy requests of one model decoded together.

One thread owns the models. It takes a waiting request and every other that waits for the same model,
up to ``BATCH``, and decodes them in step with one key-value cache, so that eight short answers
cost little more than one. Requests that come later wait for the next batch.
"""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

BATCH: Final = 8

FinishReason = Literal["stop", "length", "cancelled"]


class ModelNotFoundError(Exception):
    """No finished artifact of that name."""


class PromptTooLongError(Exception):
    """Prompt and answer do not fit into the model's context."""


@dataclass(frozen=True, slots=True)
class Update:
    """A piece of an answer. ``finish`` is set in the last one."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish: FinishReason | None = None


@dataclass(eq=False, slots=True)
class Generation:
    """One request on its way through the decoder."""

    model: str
    messages: Sequence[dict[str, Any]]
    max_tokens: int
    temperature: float
    """0 is greedy."""
    stop: tuple[str, ...]
    seed: int | None
    emit: Callable[[Update | Exception], None]
    """Called in the decoder's thread with each piece, or with what went wrong."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    prompt: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    sent: int = 0
    """Characters of the answer that have been emitted."""
    sampler: Any = None


class Decoder:
    """The thread that owns the models."""

    def __init__(self, artifacts: Path, *, kept_models: int = 4, waiting: int = 256) -> None:
        """Keep at most ``kept_models`` loaded and let ``waiting`` requests queue."""
        self._artifacts = artifacts.resolve()
        self._kept = kept_models
        self._models: OrderedDict[str, tuple[Any, Any]] = OrderedDict()
        self._waiting: queue.Queue[Generation] = queue.Queue(waiting)
        self._put_back: list[Generation] = []
        threading.Thread(target=self._run, name="decoder", daemon=True).start()

    def submit(self, generation: Generation) -> bool:
        """Queue a request; False when the queue is full."""
        try:
            self._waiting.put_nowait(generation)
        except queue.Full:
            return False
        return True

    def names(self) -> list[str]:
        """Return the ids of the finished artifacts, ``owner/name``."""
        configs = self._artifacts.glob("*/*/config.json")
        return sorted("/".join(config.parent.parts[-2:]) for config in configs)

    def folder(self, model: str) -> Path:
        """Return an artifact's folder. Raises ModelNotFoundError, also for a name that leads out."""
        folder = (self._artifacts / model).resolve()
        inside = folder.is_relative_to(self._artifacts) and len(Path(model).parts) == 2  # noqa: PLR2004
        if not inside or not (folder / "config.json").is_file():
            raise ModelNotFoundError(f"No model {model!r} among the artifacts.")
        return folder

    def _run(self) -> None:
        while True:
            batch = self._next_batch()
            try:
                self._answer(batch)
            except Exception as error:  # noqa: BLE001 - the thread's boundary: the clients are told
                for generation in batch:
                    generation.emit(error)

    def _next_batch(self) -> list[Generation]:
        """Return a waiting request and those that can be decoded with it."""
        waiting, self._put_back = self._put_back, []
        if not waiting:
            waiting = [self._waiting.get()]
        while len(waiting) < BATCH:
            try:
                waiting.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        model = waiting[0].model
        self._put_back = [g for g in waiting if g.model != model]
        return [g for g in waiting if g.model == model]

    def _answer(self, batch: list[Generation]) -> None:
        model, tokenizer = self._load(batch[0].model)
        ready = []
        for generation in batch:
            try:
                _prepare(generation, model, tokenizer)
            except PromptTooLongError as error:
                generation.emit(error)
            else:
                ready.append(generation)
        if ready:
            _decode(model, tokenizer, ready)

    def _load(self, name: str) -> tuple[Any, Any]:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        if name not in self._models:
            folder = self.folder(name)
            options = {"local_files_only": True, "trust_remote_code": False}
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype="auto", use_safetensors=True, **options
            )
            self._models[name] = (_placed(model), tokenizer)
            if len(self._models) > self._kept:
                self._models.popitem(last=False)
        self._models.move_to_end(name)
        return self._models[name]


def _placed(model: Any) -> Any:
    import torch

    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def _prepare(generation: Generation, model: Any, tokenizer: Any) -> None:
    """Tokenize the prompt. Raises PromptTooLongError."""
    import torch

    text = tokenizer.apply_chat_template(
        list(generation.messages), tokenize=False, add_generation_prompt=True
    )
    generation.prompt = tokenizer(text, add_special_tokens=False).input_ids
    longest = model.config.max_position_embeddings
    if len(generation.prompt) + 1 > longest:
        raise PromptTooLongError(
            f"The prompt has {len(generation.prompt)} tokens; the model takes {longest - 1}."
        )
    generation.max_tokens = min(generation.max_tokens, longest - len(generation.prompt))
    if generation.temperature > 0:
        generation.sampler = torch.Generator().manual_seed(generation.seed or torch.seed())


def _decode(model: Any, tokenizer: Any, batch: list[Generation]) -> None:
    """Decode the batch step by step until every answer has ended."""
    import torch
    from transformers import DynamicCache

    with torch.inference_mode():
        device = model.device
        width = max(len(g.prompt) for g in batch)
        pad = tokenizer.pad_token_id or 0
        ids = torch.tensor([[pad] * (width - len(g.prompt)) + g.prompt for g in batch])
        mask = torch.tensor([[0] * (width - len(g.prompt)) + [1] * len(g.prompt) for g in batch])
        ids, mask = ids.to(device), mask.to(device)
        cache = DynamicCache(config=model.config)
        live = set(range(len(batch)))
        while live:
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            logits = model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            chosen = logits.argmax(-1).tolist()
            for row in sorted(live):
                generation = batch[row]
                if generation.temperature > 0:
                    chosen[row] = _sample(logits[row], generation)
                if _advance(generation, chosen[row], tokenizer):
                    live.discard(row)
            ids = torch.tensor(chosen, device=device).unsqueeze(1)
            mask = torch.cat([mask, mask.new_ones(len(batch), 1)], dim=1)


def _sample(logits: Any, generation: Generation) -> int:
    import torch

    probabilities = torch.softmax(logits.float().cpu() / generation.temperature, -1)
    return int(torch.multinomial(probabilities, 1, generator=generation.sampler))


def _advance(generation: Generation, token: int, tokenizer: Any) -> bool:
    """Take the next token, emit what can be said for certain; return whether the answer has ended."""
    ended = token == tokenizer.eos_token_id
    if not ended:
        generation.tokens.append(token)
    text = tokenizer.decode(generation.tokens, skip_special_tokens=True)
    finish: FinishReason | None = None
    cut = min((at for s in generation.stop if (at := text.find(s)) >= 0), default=None)
    if cut is not None:
        text, finish = text[:cut], "stop"
    elif ended:
        finish = "stop"
    elif len(generation.tokens) >= generation.max_tokens:
        finish = "length"
    elif generation.cancelled.is_set():
        finish = "cancelled"
    # A character whose bytes are not all there yet, or the beginning of a stop text, waits.
    held = 0 if finish else _held_back(text, generation.stop)
    new = text[generation.sent : len(text) - held]
    generation.sent += len(new)
    if new or finish:
        counts = (len(generation.prompt), len(generation.tokens))
        generation.emit(Update(new, *counts, finish))
    return finish is not None


def _held_back(text: str, stops: Sequence[str]) -> int:
    """Return how many characters at the end may still change or turn out to be a stop text."""
    broken = len(text) - len(text.rstrip("\N{REPLACEMENT CHARACTER}"))
    begun = (n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n]))
    return max(broken, max(begun, default=0))
