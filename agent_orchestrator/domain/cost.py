"""What a training job will cost and how long it will take, before it starts.

Training takes about 6 · N floating-point operations a token for N parameters: 2 · N forward and
4 · N backward (Kaplan et al. 2020, 2001.08361). With LoRA the frozen weights need no gradient of
their own, which leaves about 4 · N. These are approximations of a model whose attention is small
beside its matrices; the range around the estimate says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt

from agent_orchestrator.domain.calibration import SPREAD, Calibration
from agent_orchestrator.domain.models import TrainingMethod
from agent_orchestrator.domain.wording import counted
from agent_orchestrator.errors import InputError

_FORBID_EXTRA = {"extra": "forbid"}

_FULL_FLOPS = 6.0
_LORA_FLOPS = 4.0

#: Work beside that of fine-tuning on the same examples. dpo: two answers an example, each also read
#: by the reference model, (6 + 2) · 2 / 6 ≈ 3. orpo: two answers, no reference model. grpo: answers
#: are generated, read by the reference model and trained on; 3 is a lower guess, as it grows with
#: the number of answers a prompt.
_METHOD_FACTOR: dict[TrainingMethod, float] = {"sft": 1.0, "orpo": 2.0, "dpo": 3.0, "grpo": 3.0}

THIS_MACHINE = "this machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareTier:
    """One kind of machine that can be rented."""

    __pydantic_config__ = _FORBID_EXTRA

    name: str
    max_parameters: Annotated[float, Gt(0)]
    """Models below this size fit; the largest tier also takes a model of this size."""
    usd_per_hour: Annotated[float, Ge(0)]
    lora_required: bool
    """Whether full fine-tuning would not fit into its memory."""
    effective_flops: Annotated[float, Gt(0)]
    """Floating-point operations a second that training really reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Price and time of a job, with the ranges that they may well be off."""

    cost_usd: float
    cost_range_usd: tuple[float, float]
    minutes: float
    minutes_range: tuple[float, float]
    hardware: str
    usd_per_hour: float = 0.0
    """0 for this machine."""
    uncalibrated_minutes: float
    """What the sizes alone say: what later runs are calibrated by."""
    jobs: int = 0
    """How many past runs of this kind it is calibrated by."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeGuess:
    """Time and price that are assumed before anything is known about the job."""

    minutes: float
    cost_usd: float


def choose_hardware(parameters: float, tiers: Sequence[HardwareTier]) -> HardwareTier:
    """Return the smallest tier that holds a model of ``parameters`` weights.

    Raises InputError for a model above the largest tier, or without tiers.
    """
    ordered = sorted(tiers, key=lambda tier: tier.max_parameters)
    for tier in ordered:
        largest = tier is ordered[-1]
        if parameters < tier.max_parameters or (largest and parameters == tier.max_parameters):
            return tier
    table = ", ".join(f"{tier.name} {_size(tier.max_parameters)}" for tier in ordered)
    raise InputError(
        f"No hardware holds a model of {_size(parameters)} parameters ({table or 'no tier'}).",
        remedy="Choose a smaller base model, or train on a backend of your own.",
    )


def estimate(
    *,
    parameters: float,
    tokens_per_epoch: int,
    epochs: float,
    method: TrainingMethod,
    lora: bool,
    hardware: HardwareTier | None,
    this_machine_flops: float,
    startup_minutes: float = 0.0,
    calibration: Calibration | None = None,
) -> Estimate:
    """Estimate a training job from the size of the model and of the data.

    Args:
        parameters: Weights of the base model.
        tokens_per_epoch: Tokens of the training split, one answer an example.
        epochs: Passes over it.
        method: dpo, grpo and orpo cost more than sft on the same examples.
        lora: Whether adapters are trained instead of all weights.
        hardware: What is rented; None is this machine, which costs nothing.
        this_machine_flops: Floating-point operations a second that training reaches here.
        startup_minutes: Time until the first step (image, download), charged like the rest.
        calibration: What past runs of this kind took beside their estimates.

    Returns:
        Minutes and dollars with the calibration's range (a factor 2 either way without one), and
        how they were computed.

    Raises:
        InputError: a number is not positive, or the hardware needs LoRA for this model.
    """
    _check_positive(parameters=parameters, tokens_per_epoch=tokens_per_epoch, epochs=epochs)
    if hardware is not None and hardware.lora_required and not lora:
        raise InputError(
            f"Full fine-tuning does not fit on {hardware.name!r}.", remedy="Train with LoRA."
        )
    per_token = (_LORA_FLOPS if lora else _FULL_FLOPS) * _METHOD_FACTOR[method]
    tokens = tokens_per_epoch * epochs
    speed = hardware.effective_flops if hardware else this_machine_flops
    minutes = startup_minutes + per_token * parameters * tokens / speed / 60.0
    note = f"{per_token:g} · {_size(parameters)} weights · {tokens:,.0f} tokens, {speed:.2g} FLOP/s"
    found = calibration or Calibration()
    price = hardware.usd_per_hour if hardware else 0.0
    return Estimate(
        cost_usd=minutes * found.factor / 60.0 * price,
        cost_range_usd=(minutes * found.low / 60.0 * price, minutes * found.high / 60.0 * price),
        minutes=minutes * found.factor,
        minutes_range=(minutes * found.low, minutes * found.high),
        hardware=hardware_name(hardware),
        usd_per_hour=price,
        uncalibrated_minutes=minutes,
        jobs=found.jobs,
        notes=(note, _rests_on(found)),
    )


def _check_positive(**numbers: float) -> None:
    for name, value in numbers.items():
        if not value > 0:
            raise InputError(f"Cannot price {name} {value!r}.", remedy="It must be above 0.")


def first_guess(guess: ModeGuess, hardware: HardwareTier | None) -> Estimate:
    """Return the estimate for a job whose data are not known yet; this machine costs nothing."""
    cost = guess.cost_usd if hardware else 0.0
    return Estimate(
        cost_usd=cost,
        cost_range_usd=(cost / SPREAD, cost * SPREAD),
        minutes=guess.minutes,
        minutes_range=(guess.minutes / SPREAD, guess.minutes * SPREAD),
        hardware=hardware_name(hardware),
        usd_per_hour=hardware.usd_per_hour if hardware else 0.0,
        uncalibrated_minutes=guess.minutes,
        notes=("A first guess: the data are not known yet.",),
    )


def check_limits(estimate: Estimate, *, max_cost_usd: float, max_hours: float) -> None:
    """Raise InputError when a job is expected to cost or take more than is allowed."""
    hours = estimate.minutes / 60.0
    if estimate.cost_usd > max_cost_usd:
        raise InputError(
            f"The job is estimated at ${estimate.cost_usd:.2f}, above the limit of "
            f"${max_cost_usd:.2f} a job.",
            remedy="Use fewer examples, fewer epochs or a smaller base; or raise the limit.",
        )
    if hours > max_hours:
        raise InputError(
            f"The job is estimated at {hours:.3g} hours, above the limit of {max_hours:g} a job.",
            remedy="Use fewer examples, fewer epochs or a smaller base; or raise the limit.",
        )


def hardware_name(hardware: HardwareTier | None) -> str:
    """Return what is written down of where a job runs; None is this machine."""
    return hardware.name if hardware else THIS_MACHINE


def _rests_on(calibration: Calibration) -> str:
    if not calibration.jobs:
        return "No run of this kind has been completed yet: sizes and a table of speeds only."
    runs = counted(calibration.jobs, "past run[s]")
    return f"Times {calibration.factor:.2f}, as {runs} of this kind took."


def _size(parameters: float) -> str:
    return f"{parameters / 1e9:.3g} B" if parameters >= 1e8 else f"{parameters / 1e6:.3g} M"  # noqa: PLR2004
