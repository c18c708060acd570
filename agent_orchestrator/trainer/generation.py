"""Answers from local models: loaded on demand, greedy requests of one model decoded together.

One thread owns the models. It takes a waiting request and every other that waits for the same
model, up to ``BATCH``, and decodes them in step with one key-value cache, so that eight short
answers cost little more than one. Requests that come later wait for the next batch.
"""

from __future__ import annotations

import contextlib
import queue
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

BATCH: Final = 8

FinishReason = Literal["stop", "length", "cancelled"]

# No part begins with a dot: neither ``..`` nor an artifact that is still being written.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


class ModelNotFoundError(Exception):
    """No finished artifact of that name."""


class BadPromptError(Exception):
    """The model's chat template does not take these messages."""


class PromptTooLongError(BadPromptError):
    """The prompt fills the model's context."""


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


class LoadedModel(Protocol):
    """A model that is ready to answer; used by one thread."""

    def prepare(self, generation: Generation) -> None:
        """Tokenize the prompt. Raises BadPromptError, PromptTooLongError."""

    def decode(self, batch: Sequence[Generation]) -> None:
        """Answer prepared requests, piece by piece, until every answer has ended."""

    def close(self) -> None:
        """Free what the interpreter does not free by itself."""


class Words(Protocol):
    """What ``advance`` needs of a model."""

    def ends(self, token: int) -> bool:
        """Return whether a token ends an answer."""

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, special ones left out."""


LoadGguf = Callable[[Path], LoadedModel]
"""Opens a GGUF file."""


class Artifacts:
    """The finished models of a folder, ``owner/name/`` each."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def names(self) -> list[str]:
        """Return the ids of the models."""
        folders = (path.relative_to(self._root).as_posix() for path in self._root.glob("*/*"))
        return sorted(name for name in folders if self._find(name) is not None)

    def folder(self, model: str) -> Path:
        """Return a model's folder.

        Raises ModelNotFoundError, also for a name or a link that leads out of the artifacts.
        """
        folder = self._find(model)
        if folder is None:
            raise ModelNotFoundError(f"No model {model[:200]!r} among the artifacts.")
        return folder

    def _find(self, model: str) -> Path | None:
        if not _NAME.fullmatch(model):
            return None
        folder = (self._root / model).resolve()
        inside = folder.is_relative_to(self._root)
        return folder if inside and _is_finished(folder) else None


def gguf_file(folder: Path) -> Path | None:
    """Return the GGUF file of an artifact, None for one of safetensors."""
    return next(iter(sorted(folder.glob("*.gguf"))), None)


def _is_finished(folder: Path) -> bool:
    return (folder / "config.json").is_file() or gguf_file(folder) is not None


class Decoder:
    """The thread that owns the models."""

    def __init__(
        self,
        artifacts: Artifacts,
        *,
        load_gguf: LoadGguf | None = None,
        kept_models: int = 4,
        waiting: int = 256,
    ) -> None:
        """Keep at most ``kept_models`` loaded and let ``waiting`` requests queue."""
        self._artifacts = artifacts
        self._load_gguf = load_gguf
        self._kept = kept_models
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()
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

    def _run(self) -> None:
        with contextlib.suppress(Exception):  # whatever is wrong, the first request is told
            import transformers  # noqa: F401 - seconds that this request need not wait

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
        loaded = self._load(batch[0].model)
        ready = []
        for generation in batch:
            if generation.cancelled.is_set():
                generation.emit(Update("", 0, 0, "cancelled"))
                continue
            try:
                loaded.prepare(generation)
            except BadPromptError as error:
                generation.emit(error)
            else:
                ready.append(generation)
        if ready:
            loaded.decode(ready)

    def _load(self, name: str) -> LoadedModel:
        if name not in self._models:
            folder = self._artifacts.folder(name)
            gguf = gguf_file(folder)
            self._models[name] = self._opened(gguf) if gguf else _load_safetensors(folder)
            if len(self._models) > self._kept:
                _, oldest = self._models.popitem(last=False)
                oldest.close()
        self._models.move_to_end(name)
        return self._models[name]

    def _opened(self, gguf: Path) -> LoadedModel:
        if self._load_gguf is None:
            raise RuntimeError("This server was started without llama.cpp (--llama-cpp).")
        return self._load_gguf(gguf)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model of safetensors, run by torch."""

    model: Any
    tokenizer: Any
    end_tokens: frozenset[int]
    """Tokens that end an answer."""

    def prepare(self, generation: Generation) -> None:
        """See ``LoadedModel``."""
        _prepare(generation, self)

    def decode(self, batch: Sequence[Generation]) -> None:
        """See ``LoadedModel``: in step, with one key-value cache."""
        _decode(self, batch)

    def close(self) -> None:
        """See ``LoadedModel``: torch frees by itself."""

    def ends(self, token: int) -> bool:
        """See ``Words``."""
        return token in self.end_tokens

    def text(self, tokens: Sequence[int]) -> str:
        """See ``Words``."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text


def _load_safetensors(folder: Path) -> Loaded:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = {"local_files_only": True, "trust_remote_code": False}
    # Local folders only: there is no revision to pin.
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)  # nosec B615
    model = AutoModelForCausalLM.from_pretrained(  # nosec B615
        folder, dtype="auto", use_safetensors=True, **options
    )
    return Loaded(_placed(model), tokenizer, _ends(model, tokenizer))


def _placed(model: Any) -> Any:
    import torch

    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the end tokens: the tokenizer's, and those that the model's configuration adds."""
    configured = model.generation_config.eos_token_id
    more = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (tokenizer.eos_token_id, *more) if token is not None)


def _prepare(generation: Generation, loaded: Loaded) -> None:
    """Tokenize the prompt. Raises BadPromptError, PromptTooLongError."""
    import torch
    from jinja2 import TemplateError

    try:
        text = loaded.tokenizer.apply_chat_template(
            list(generation.messages), tokenize=False, add_generation_prompt=True
        )
    except TemplateError as error:
        raise BadPromptError(f"The model does not take these messages: {error}") from error
    generation.prompt = loaded.tokenizer(text, add_special_tokens=False).input_ids
    longest = loaded.model.config.get_text_config().max_position_embeddings
    if len(generation.prompt) + 1 > longest:
        raise PromptTooLongError(
            f"The prompt has {len(generation.prompt)} tokens; the model takes {longest - 1}."
        )
    generation.max_tokens = min(generation.max_tokens, longest - len(generation.prompt))
    if generation.temperature > 0:
        seed = torch.seed() if generation.seed is None else generation.seed
        generation.sampler = torch.Generator().manual_seed(seed)


def _decode(loaded: Loaded, batch: Sequence[Generation]) -> None:
    """Decode the batch step by step until every answer has ended."""
    import torch
    from transformers import DynamicCache

    model = loaded.model
    with torch.inference_mode():
        device = model.device
        width = max(len(g.prompt) for g in batch)
        pad = loaded.tokenizer.pad_token_id or 0  # masked, so that any token does
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
                if advance(generation, chosen[row], loaded):
                    live.discard(row)
            ids = torch.tensor(chosen, device=device).unsqueeze(1)
            mask = torch.cat([mask, mask.new_ones(len(batch), 1)], dim=1)


def _sample(logits: Any, generation: Generation) -> int:
    import torch

    probabilities = torch.softmax(logits.float().cpu() / generation.temperature, -1)
    return int(torch.multinomial(probabilities, 1, generator=generation.sampler))


def advance(generation: Generation, token: int, words: Words) -> bool:
    """Take the next token, emit what is certain; return whether the answer has ended."""
    ended = words.ends(token)
    if not ended:
        generation.tokens.append(token)
    text = words.text(generation.tokens)
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
