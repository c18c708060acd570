"""The base model: a folder or a Hub id, safetensors only, no code of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.spec import Spec


def check_local_base(base_model: str) -> None:
    """Refuse a path that is not a model folder of safetensors. Raises Refused.

    A base model that is not a path is left to the Hub.
    """
    folder = Path(base_model).expanduser()
    if not (folder.is_absolute() or base_model.startswith(("./", "../", "~")) or folder.exists()):
        return
    if not (folder / "config.json").is_file():
        raise Refused(
            "unknown_base_model",
            f"The base model {base_model!r} is not a folder with a config.json.",
            "Check base_model: the folder of a model, or its Hub id 'owner/name'.",
        )
    if not any(folder.glob("*.safetensors")):
        raise Refused(
            "bad_spec",
            f"The base model {base_model!r} holds no safetensors; pickles are never loaded.",
            "Convert it to safetensors first.",
        )


def load_base(spec: Spec, token: str | None) -> tuple[Any, Any]:
    """Load model (in the type it was saved in) and tokenizer of the base; safetensors only."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = {"revision": spec.base_revision, "token": token, "trust_remote_code": False}
    # The revision is the spec's; safetensors hold no code and none is trusted.
    tokenizer = AutoTokenizer.from_pretrained(spec.base_model, **options)  # nosec B615
    if tokenizer.chat_template is None:
        raise Refused(
            "bad_spec",
            f"The base model {spec.base_model!r} has no chat template.",
            "Use an instruction-tuned base model, or add a chat template to its tokenizer.",
        )
    model = AutoModelForCausalLM.from_pretrained(  # nosec B615
        spec.base_model, dtype="auto", use_safetensors=True, **options
    )
    return model, tokenizer
