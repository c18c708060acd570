"""Early stopping (Prechelt 1998): end when the validation loss no longer falls; keep the best."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

_BEST: Final = "best.safetensors"
"""In the job's folder: the trained tensors at the best validation loss."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the validations so far have shown."""

    best_loss: float = math.inf
    best_step: int = 0
    worse: int = 0
    """Validations in a row that were not better than the best."""

    def after(self, step: int, loss: float) -> Seen:
        """Return what is known after one more validation."""
        if loss < self.best_loss:
            return Seen(loss, step, 0)
        return Seen(self.best_loss, self.best_step, self.worse + 1)


class EarlyStopping:
    """Watches the validation loss of one training."""

    def __init__(self, job_dir: Path, *, patience: int, every: int, total: int) -> None:
        """Validate each ``every`` steps and at the last; ``patience`` is how many may be worse."""
        self.seen = Seen()
        self._path = job_dir / _BEST
        self._patience = patience
        self._every = every
        self._total = total

    def due(self, step: int) -> bool:
        """Tell whether a step is followed by a validation."""
        return step % self._every == 0 or step == self._total

    def observe(self, step: int, loss: float, model: Any) -> bool:
        """Take one validation's loss; return whether to stop. The best model's tensors are kept."""
        from safetensors.torch import save_file

        self.seen = self.seen.after(step, loss)
        if self.seen.best_step == step:
            partial = self._path.with_suffix(".partial")
            tensors = {name: p.detach().cpu().contiguous() for name, p in _trained(model).items()}
            save_file(tensors, partial)
            partial.replace(self._path)
        return self.seen.worse >= self._patience

    def restore(self, model: Any) -> None:
        """Give a model the tensors that were best."""
        from safetensors.torch import load_file

        if not self.seen.best_step:
            return
        trained = _trained(model)
        for name, tensor in load_file(self._path).items():
            trained[name].data.copy_(tensor)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold."""
        return asdict(self.seen)

    def resume(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was written."""
        self.seen = Seen(**state)


def _trained(model: Any) -> dict[str, Any]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
