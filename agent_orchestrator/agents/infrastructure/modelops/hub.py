"""What the Hub knows about a model. Imported where it is needed: its client loads slowly."""

from __future__ import annotations

import httpx2  # the Hub client's own transport
from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

from agent_orchestrator.errors import InputError, UnavailableError


def parameters(base_model: str, token: str | None) -> float:
    """Return the number of weights of a model on the Hub; ``token`` opens private ones.

    Raises UnavailableError when the Hub does not answer, InputError when it does not know the model
    or its size.
    """
    remedy = "Name a local model, a preset, or add one to config/modelops/training_defaults.yaml."
    try:
        info = HfApi(token=token).model_info(base_model, expand=["safetensors"], timeout=10)
    except (RepositoryNotFoundError, HFValidationError):
        raise InputError(
            f"The Hub has no model {base_model!r} that you may read.", remedy=remedy
        ) from None
    except (httpx2.HTTPError, OSError, ValueError) as error:
        raise UnavailableError(
            f"The size of {base_model!r} is not known here and the Hub does not answer: "
            f"{type(error).__name__}.",
            remedy=remedy,
        ) from error
    if info.safetensors is None:
        raise InputError(f"{base_model} has no safetensors weights.", remedy=remedy)
    return float(info.safetensors.total)
