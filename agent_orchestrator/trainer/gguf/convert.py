"""From a model of safetensors to one GGUF file, by llama.cpp's own converter and quantizer."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.gguf.llama import LlamaError, load_library, quantize

#: ``{% generation %}`` marks what training's loss is on; engines other than transformers' do not
#: know the tag. As a comment it keeps its control of white space.
_GENERATION_TAG: Final = re.compile(r"\{%(-?)\s*((?:end)?generation)\s*(-?)%\}")
_TEMPLATES: Final = ("tokenizer_config.json", "chat_template.jinja")
_LOOK_SECONDS: Final = 0.2
_NO_ROOM_BYTES: Final = 1 << 20


def stage(source: Path, target: Path) -> None:
    """Make ``target`` a folder of links to the model's files, with a portable chat template.

    Raises OSError.
    """
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        if path.name in _TEMPLATES:
            text = path.read_text(encoding="utf-8")
            portable = _GENERATION_TAG.sub(r"{#\1 \2 \3#}", text)
            (target / path.name).write_text(portable, encoding="utf-8")
        elif path.is_file():
            (target / path.name).symlink_to(path.resolve())


def merge_adapter(adapter: Path, target: Path, *, token: str | None) -> None:
    """Write the whole model of a LoRA adapter and its base to ``target``.

    Raises what transformers and peft raise (``diagnosis``).
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    base, options = config["base_model_name_or_path"], {"token": token, "trust_remote_code": False}
    # The adapter's configuration names the revision, where there is one.
    revision = config.get("revision")
    model = AutoModelForCausalLM.from_pretrained(  # nosec B615
        base, revision=revision, dtype="auto", use_safetensors=True, **options
    )
    merged = PeftModel.from_pretrained(model, adapter, token=token).merge_and_unload()
    own = (adapter / "tokenizer_config.json").is_file()
    tokenizer = AutoTokenizer.from_pretrained(adapter if own else base, **options)  # nosec B615
    merged.save_pretrained(target)
    tokenizer.save_pretrained(target)


def write_f16(source: Path, target: Path, llama_cpp: Path) -> None:
    """Convert the model in ``source`` to GGUF in F16. Raises Refused for what is not supported."""
    base = _import_converter(llama_cpp)
    import gguf
    import torch
    from conversion import ModelType, get_model_architecture, get_model_class

    parameters = base.ModelBase.load_hparams(source, False)
    architecture = get_model_architecture(parameters, ModelType.TEXT)
    try:
        model_class = get_model_class(architecture, mmproj=False)
    except NotImplementedError:
        raise Refused(
            "unknown_architecture",
            f"llama.cpp's converter does not know the architecture {architecture!r}.",
            "Serve the model in its own format, or convert one of a supported architecture.",
        ) from None
    with torch.inference_mode():
        model_class(source, gguf.LlamaFileType.MOSTLY_F16, target).write()


def _import_converter(llama_cpp: Path) -> Any:
    """Return ``conversion.base``, which knows the plain byte-level pre-tokenizer by its settings.

    The converter recognises a pre-tokenizer by a hash of the tokens that a text becomes, which
    depends on the vocabulary: every vocabulary of one's own is unknown to it. GPT-2's pre-tokenizer
    is, in ``tokenizer.json``, ByteLevel with its regular expression and nothing else; such a model
    needs no table.
    """
    for folder in ("python", "convert/gguf-py", "convert"):
        sys.path.insert(0, str(llama_cpp / folder))
    os.environ["NO_LOCAL_GGUF"] = "1"  # we have put it on the path
    from conversion import base

    known = base.TextModel.get_vocab_base_pre

    def get_vocab_base_pre(self: Any, tokenizer: Any) -> str:
        name: str = "gpt-2" if _is_plain_byte_level(self.dir_model) else known(self, tokenizer)
        return name

    base.TextModel.get_vocab_base_pre = get_vocab_base_pre
    return base


def _is_plain_byte_level(folder: Path) -> bool:
    path = folder / "tokenizer.json"
    if not path.is_file():
        return False
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    split = tokenizer.get("pre_tokenizer") or {}
    return (
        tokenizer.get("normalizer") is None
        and split.get("type") == "ByteLevel"
        and split.get("use_regex", True)
        and not split.get("add_prefix_space", False)
    )


def write_quantized(
    source: Path, target: Path, file_type: str, library: Path, threads: int
) -> None:
    """Write the F16 file ``source`` to ``target`` in another type; F16 is only moved.

    In a thread of its own, so that a signal need not wait for the library. Raises Refused.
    """
    if file_type == "F16":
        shutil.move(source, target)
        return
    try:
        _in_thread(lambda: quantize(load_library(library), source, target, file_type, threads))
    except LlamaError as error:
        raise _check_written(target, error) from error


def _in_thread(work: Callable[[], None]) -> None:
    """Do ``work`` while this thread can take signals; raises what it raises."""
    failed: list[Exception] = []

    def run() -> None:
        try:
            work()
        except (LlamaError, OSError) as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="llama.cpp", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_SECONDS)
    if failed:
        raise failed[0]


def _check_written(target: Path, error: LlamaError) -> Refused | LlamaError:
    """Return why the library could not write: it does not say that the disk is full."""
    if shutil.disk_usage(target.parent).free > _NO_ROOM_BYTES:
        return error
    return Refused(
        "disk_full",
        f"The disk is full: {target.name} was not written.",
        "Free some space and submit the job again.",
    )
