"""llama.cpp's shared library through ctypes: quantising and generating.

The structures are those of ``include/llama.h`` in release 0.5.0, which both routes of ``make
setup-gguf`` give (the prebuilt library and the one built from source). They are passed by value, so
that a library of another release is refused instead of being handed memory that it reads otherwise.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int8, c_int32, c_size_t, c_uint32, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, Final

RELEASE: Final = "0.5.0"
#: ``enum llama_ftype``.
FILE_TYPES: Final = {"F16": 1, "Q8_0": 7, "Q4_K_M": 15, "Q5_K_M": 17}
_MMAP: Final = 1
#: ``enum ggml_log_level``: warnings and errors.
_LOUD: Final = frozenset({3, 4})
_PIECE_BYTES: Final = 256

_log_type: Final = ctypes.CFUNCTYPE(None, ctypes.c_int, c_char_p, c_void_p)


class LlamaError(Exception):
    """The library refused; its own words are in the process's log."""


class _QuantizeParams(ctypes.Structure):
    _fields_ = (
        ("nthread", c_int32),
        ("ftype", ctypes.c_int),
        ("output_tensor_type", ctypes.c_int),
        ("token_embedding_type", ctypes.c_int),
        ("allow_requantize", c_bool),
        ("quantize_output_tensor", c_bool),
        ("only_copy", c_bool),
        ("pure", c_bool),
        ("keep_split", c_bool),
        ("dry_run", c_bool),
        ("imatrix", c_void_p),
        ("kv_overrides", c_void_p),
        ("tt_overrides", c_void_p),
        ("prune_layers", c_void_p),
        ("max_buf_size", c_size_t),
    )


class _ModelParams(ctypes.Structure):
    _fields_ = (
        ("devices", c_void_p),
        ("tensor_buft_overrides", c_void_p),
        ("n_gpu_layers", c_int32),
        ("split_mode", ctypes.c_int),
        ("load_mode", ctypes.c_int),
        ("lazy_mode", ctypes.c_int),
        ("main_gpu", c_int32),
        ("tensor_split", c_void_p),
        ("progress_callback", c_void_p),
        ("progress_callback_user_data", c_void_p),
        ("kv_overrides", c_void_p),
        ("vocab_only", c_bool),
        ("check_tensors", c_bool),
        ("use_extra_bufts", c_bool),
        ("no_host", c_bool),
        ("no_alloc", c_bool),
        ("load_mtp", c_bool),
    )


class _ContextParams(ctypes.Structure):
    _fields_ = (
        ("n_ctx", c_uint32),
        ("n_batch", c_uint32),
        ("n_ubatch", c_uint32),
        ("n_seq_max", c_uint32),
        ("n_rs_seq", c_uint32),
        ("n_outputs_max", c_uint32),
        ("n_outputs_max_per_seq", c_uint32),
        ("n_threads", c_int32),
        ("n_threads_batch", c_int32),
        ("ctx_type", ctypes.c_int),
        ("rope_scaling_type", ctypes.c_int),
        ("pooling_type", ctypes.c_int),
        ("attention_type", ctypes.c_int),
        ("flash_attn_type", ctypes.c_int),
        ("rope_freq_base", c_float),
        ("rope_freq_scale", c_float),
        ("yarn_ext_factor", c_float),
        ("yarn_attn_factor", c_float),
        ("yarn_beta_fast", c_float),
        ("yarn_beta_slow", c_float),
        ("yarn_orig_ctx", c_uint32),
        ("defrag_thold", c_float),
        ("cb_eval", c_void_p),
        ("cb_eval_user_data", c_void_p),
        ("type_k", ctypes.c_int),
        ("type_v", ctypes.c_int),
        ("abort_callback", c_void_p),
        ("abort_callback_data", c_void_p),
        ("embeddings", c_bool),
        ("offload_kqv", c_bool),
        ("no_perf", c_bool),
        ("op_offload", c_bool),
        ("swa_full", c_bool),
        ("kv_unified", c_bool),
        ("samplers", c_void_p),
        ("n_samplers", c_size_t),
        ("ctx_other", c_void_p),
    )


class _Batch(ctypes.Structure):
    _fields_ = (
        ("n_tokens", c_int32),
        ("token", POINTER(c_int32)),
        ("embd", c_void_p),
        ("pos", c_void_p),
        ("n_seq_id", c_void_p),
        ("seq_id", c_void_p),
        ("logits", POINTER(c_int8)),
    )


#: name → result, arguments
_SIGNATURES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "ggml_backend_load_all_from_path": (None, (c_char_p,)),
    "llama_backend_init": (None, ()),
    "llama_batch_get_one": (_Batch, (POINTER(c_int32), c_int32)),
    "llama_context_default_params": (_ContextParams, ()),
    "llama_decode": (c_int32, (c_void_p, _Batch)),
    "llama_free": (None, (c_void_p,)),
    "llama_get_logits_ith": (POINTER(c_float), (c_void_p, c_int32)),
    "llama_get_memory": (c_void_p, (c_void_p,)),
    "llama_init_from_model": (c_void_p, (c_void_p, _ContextParams)),
    "llama_log_set": (None, (_log_type, c_void_p)),
    "llama_memory_clear": (None, (c_void_p, c_bool)),
    "llama_model_chat_template": (c_char_p, (c_void_p, c_char_p)),
    "llama_model_default_params": (_ModelParams, ()),
    "llama_model_free": (None, (c_void_p,)),
    "llama_model_get_vocab": (c_void_p, (c_void_p,)),
    "llama_model_load_from_file": (c_void_p, (c_char_p, _ModelParams)),
    "llama_model_n_ctx_train": (c_int32, (c_void_p,)),
    "llama_model_n_params": (ctypes.c_uint64, (c_void_p,)),
    "llama_model_quantize": (c_uint32, (c_char_p, c_char_p, POINTER(_QuantizeParams))),
    "llama_model_quantize_default_params": (_QuantizeParams, ()),
    "llama_token_to_piece": (
        c_int32,
        (c_void_p, c_int32, c_char_p, c_int32, c_int32, c_bool),
    ),
    "llama_tokenize": (
        c_int32,
        (c_void_p, c_char_p, c_int32, POINTER(c_int32), c_int32, c_bool, c_bool),
    ),
    "llama_version": (c_char_p, ()),
    "llama_vocab_bos": (c_int32, (c_void_p,)),
    "llama_vocab_eos": (c_int32, (c_void_p,)),
    "llama_vocab_get_add_bos": (c_bool, (c_void_p,)),
    "llama_vocab_is_eog": (c_bool, (c_void_p, c_int32)),
    "llama_vocab_n_tokens": (c_int32, (c_void_p,)),
}


@_log_type
def _log(level: int, text: bytes, _data: object) -> None:
    """Pass on warnings and errors; the rest fills screens."""
    if level in _LOUD:
        os.write(2, text)


@cache
def load_library(folder: Path) -> Any:
    """Return the library of ``folder`` (what ``make setup-gguf`` fills), ready to use.

    Raises LlamaError when there is none, or one of another release.
    """
    found = sorted(folder.glob("libllama.*so*"))
    if not found:
        raise LlamaError(f"There is no llama.cpp library in {folder}.")
    try:
        library = ctypes.CDLL(str(found[0]))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise LlamaError(f"{found[0]} cannot be used: {error}.") from error
    release = library.llama_version().decode()
    if release.removesuffix("-dev") != RELEASE:
        raise LlamaError(f"{found[0]} is llama.cpp {release}, not {RELEASE}.")
    library.llama_log_set(_log, None)
    library.ggml_backend_load_all_from_path(os.fsencode(folder))
    library.llama_backend_init()
    return library


def quantize(library: Any, source: Path, target: Path, file_type: str, threads: int) -> None:
    """Write ``source`` (GGUF in F16) to ``target`` as ``file_type``. Raises LlamaError."""
    params = library.llama_model_quantize_default_params()
    params.ftype, params.nthread = FILE_TYPES[file_type], threads
    status = library.llama_model_quantize(
        os.fsencode(source), os.fsencode(target), ctypes.byref(params)
    )
    if status:
        raise LlamaError(f"llama.cpp could not write {target.name} (status {status}).")


class Model:
    """A GGUF file that is loaded, with one context; used by one thread at a time."""

    def __init__(self, library: Any, path: Path, *, threads: int, most_context: int) -> None:
        """Load ``path`` with the context that it was trained with, ``most_context`` tokens at most.

        Raises LlamaError.
        """
        self._lib = library
        params = library.llama_model_default_params()
        params.load_mode = _MMAP
        self._model = library.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise LlamaError(f"llama.cpp could not load {path.name}.")
        settings = library.llama_context_default_params()
        settings.n_ctx = min(library.llama_model_n_ctx_train(self._model), most_context)
        settings.n_threads = settings.n_threads_batch = threads
        self._batch = settings.n_batch
        self.context_tokens = int(settings.n_ctx)
        self._context = library.llama_init_from_model(self._model, settings)
        if not self._context:
            library.llama_model_free(self._model)
            raise LlamaError(f"llama.cpp has no room for {path.name} with its context.")
        self._vocab = library.llama_model_get_vocab(self._model)

    def close(self) -> None:
        """Free the memory."""
        self._lib.llama_free(self._context)
        self._lib.llama_model_free(self._model)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return int(self._lib.llama_model_n_params(self._model))

    @property
    def chat_template(self) -> str | None:
        """The file's template, jinja."""
        found = self._lib.llama_model_chat_template(self._model, None)
        return found.decode() if found else None

    def special(self) -> dict[str, str]:
        """Return the texts of the beginning and the end token, "" without one."""
        tokens = {
            "bos_token": self._lib.llama_vocab_bos(self._vocab),
            "eos_token": self._lib.llama_vocab_eos(self._vocab),
        }
        return {
            name: self.piece(token, special=True).decode() if token >= 0 else ""
            for name, token in tokens.items()
        }

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text; the names of special tokens in it stand for them."""
        raw = text.encode()
        size = len(raw) + 8
        tokens = (c_int32 * size)()
        count = self._lib.llama_tokenize(self._vocab, raw, len(raw), tokens, size, False, True)
        if count < 0:
            raise LlamaError("llama.cpp could not tokenize the text.")
        return list(tokens[:count])

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """Return a token's bytes; without ``special``, none for a control token."""
        buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        length = self._lib.llama_token_to_piece(
            self._vocab, token, buffer, _PIECE_BYTES, 0, special
        )
        if length < 0:  # the buffer was too small: it says how much it needs
            buffer = ctypes.create_string_buffer(-length)
            length = self._lib.llama_token_to_piece(self._vocab, token, buffer, -length, 0, special)
        return buffer.raw[:length]

    def ends(self, token: int) -> bool:
        """Return whether a token ends an answer."""
        return bool(self._lib.llama_vocab_is_eog(self._vocab, token))

    def begin(self, prompt: Sequence[int]) -> None:
        """Forget what was read and read a prompt. Raises LlamaError."""
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._context), True)
        for at in range(0, len(prompt), self._batch):
            self._read(prompt[at : at + self._batch])

    def feed(self, token: int) -> None:
        """Read one more token. Raises LlamaError."""
        self._read([token])

    def logits(self) -> Any:
        """Return the last position's logits as a ctypes array, valid until the next token."""
        size = self._lib.llama_vocab_n_tokens(self._vocab)
        pointer = self._lib.llama_get_logits_ith(self._context, -1)
        return ctypes.cast(pointer, POINTER(c_float * size)).contents

    def _read(self, tokens: Sequence[int]) -> None:
        held = (c_int32 * len(tokens))(*tokens)
        status = self._lib.llama_decode(
            self._context, self._lib.llama_batch_get_one(held, len(tokens))
        )
        if status:
            raise LlamaError(f"llama.cpp could not go on (status {status}).")


@contextmanager
def opened(library: Any, path: Path, *, threads: int, most_context: int) -> Iterator[Model]:
    """Give a model that is freed again. Raises LlamaError."""
    model = Model(library, path, threads=threads, most_context=most_context)
    try:
        yield model
    finally:
        model.close()
