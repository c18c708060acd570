"""QLoRA (Dettmers et al., 2305.14314): adapters trained beside a base of four bits a weight.

Where the base itself would not fit. The result is whole all the same: the adapters are merged into
the base as it was saved, not into its four bits.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.spec import Spec


def check(spec: Spec) -> None:
    """Refuse int4 where it cannot be had. Raises Refused (``unavailable``)."""
    if spec.hyperparameters.quantization is None:
        return
    import torch

    if not torch.cuda.is_available():
        raise Refused(
            "unavailable",
            "hyperparameters.quantization = 'int4' needs a GPU, and this machine has none.",
            "Leave quantization out, or train on hardware with a GPU.",
        )
    if find_spec("bitsandbytes") is None:
        raise Refused(
            "unavailable",
            "hyperparameters.quantization = 'int4' needs bitsandbytes, which is not installed.",
            "Install agent_orchestrator/trainer/requirements-trl-gpu.txt into .venv-trainer.",
        )


def load(spec: Spec, token: str | None, device: int | str = 0) -> Any:
    """Load the base in four bits (NF4, double quantised, computed in bfloat16) on a device."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return AutoModelForCausalLM.from_pretrained(  # nosec B615
        spec.base_model,
        revision=spec.base_revision,
        token=token,
        trust_remote_code=False,
        use_safetensors=True,
        quantization_config=config,
        device_map={"": device},
    )


def merged(trained: Any, base: Any) -> Any:
    """Return ``base``, as it was saved, with the adapters of a model trained in four bits."""
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    adapters = {name: t.cpu() for name, t in get_peft_model_state_dict(trained).items()}
    model = get_peft_model(base, trained.peft_config["default"])
    set_peft_model_state_dict(model, adapters)
    return model.merge_and_unload()
