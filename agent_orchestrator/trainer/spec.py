"""What a job asks for: ``spec.json`` as frozen dataclasses, checked key by key.

Plain dataclasses: the worker starts before it imports anything that is not in the standard
library, and its environment need not hold what the orchestrator's holds.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.rewards import COLUMNS
from agent_orchestrator.trainer.sandbox import Limits

PROTOCOL: Final = 1
_ABOVE_ZERO: Final = (
    "learning_rate",
    "num_epochs",
    "max_steps",
    "batch_size",
    "gradient_accumulation",
    "max_length",
    "max_grad_norm",
    "checkpoint_steps",
    "early_stopping",
    "eval_steps",
    "max_completion_length",
    "temperature",
)
_FEWEST_GENERATIONS: Final = 2
"""GRPO compares answers with each other."""

T = TypeVar("T")
Method = Literal["sft", "dpo", "grpo", "orpo"]
Engine = Literal["trl", "autotrain"]
ENGINES: Final[Mapping[Engine, str]] = {"trl": "TRL", "autotrain": "AutoTrain"}
"""As people know them."""
METHODS: Final[Mapping[Engine, tuple[Method, ...]]] = {
    "trl": ("sft", "dpo", "grpo"),
    "autotrain": ("sft", "dpo", "orpo"),
}
LrScheduler = Literal["linear", "cosine", "constant", "constant_with_warmup"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Low-rank adapters (Hu et al. 2021), merged into the base when training ends."""

    rank: int = 32
    alpha: int = 64
    dropout: float = 0.0
    target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    modules_to_save: tuple[str, ...] = ()
    """Modules trained whole beside the adapters, e.g. ``embed_tokens``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """How to train. The defaults are those of ``config/modelops/training_defaults.yaml``."""

    learning_rate: float = 2e-5
    num_epochs: float = 3.0
    max_steps: int | None = None
    """Optimizer steps; overrides ``num_epochs``."""
    batch_size: int = 4
    gradient_accumulation: int = 4
    warmup_ratio: float = 0.1
    """Share of the steps over which the learning rate rises."""
    lr_scheduler: LrScheduler = "linear"
    max_length: int = 8192
    """Tokens; longer examples are left out (and counted)."""
    lora: Lora | None = None
    """None trains all weights."""
    quantization: Literal["int4"] | None = None
    """``int4`` keeps the base in four bits a weight while adapters are trained; needs a GPU."""
    seed: int = 0
    adam_beta2: float = 0.999
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    group_by_length: bool = True
    """Batches of examples of about equal length: less padding."""
    checkpoint_steps: int | None = None
    """Steps between checkpoints; None writes one only when cancelled."""
    auto_batch_size: bool = True
    """Where the memory is not enough: halve ``batch_size`` and double ``gradient_accumulation``."""
    early_stopping: int | None = None
    """Validations in a row without a lower loss that end the training; the best weights are kept.
    None trains all steps."""
    eval_steps: int | None = None
    """Steps between these validations; None for a tenth of the training."""
    trackio: str | None = None
    """Project under which Trackio keeps the metrics too, in the job's folder; None for none."""
    beta: float = 0.1
    """How strongly DPO and GRPO hold the model to its base; 0 lets GRPO go without a reference."""
    rewards: tuple[str, ...] = ("exact_match",)
    """Of GRPO: names of ``rewards.py``; several are added up."""
    num_generations: int = 8
    """Answers that GRPO compares with each other for one problem."""
    max_completion_length: int = 256
    """Tokens of an answer that GRPO lets the model write."""
    temperature: float = 1.0
    """At which GRPO samples answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFiles:
    """Files in the job folder."""

    train: str
    validation: str | None = None
    name: str | None = None
    """For the model card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What the model card says beyond what the worker knows."""

    title: str | None = None
    base_model: str | None = None
    """How to name the base model where ``Spec.base_model`` is a path."""
    license: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PushToHub:
    """Where to publish the artifact."""

    repo: str
    private: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Trackio:
    """Where Trackio shows the job's curves."""

    project: str
    space: str | None = None
    """``owner/name`` of a Space of the Hub; None keeps them in the job's folder, ``trackio/``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One job."""

    protocol: int
    job_id: str
    base_model: str
    """A folder or a Hub id."""
    dataset: DatasetFiles
    output_dir: str
    """Where the artifact appears; must not exist yet."""
    engine: Engine = "trl"
    """Whose libraries the worker's interpreter has."""
    method: Method = "sft"
    base_revision: str | None = None
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)
    model_card: ModelCard = field(default_factory=ModelCard)
    push_to_hub: PushToHub | None = None
    max_seconds: float | None = None
    """Wall-clock limit."""
    threads: int | None = None
    """CPU threads; None leaves it to torch and ``OMP_NUM_THREADS``."""
    sandbox: Limits = field(default_factory=Limits)
    """For code that the model writes and ``python_tests`` runs."""
    trackio: Trackio | None = None


def read_spec(path: Path) -> Spec:
    """Read and check ``spec.json``. Raises Refused (``bad_spec``)."""
    return parse_spec(_read_json(path))


def read_json_as(cls: type[T], path: Path) -> T:
    """Read the ``spec.json`` of another kind of job. Raises Refused (``bad_spec``)."""
    data = _read_json(path)
    _check_protocol(data)
    return typing.cast("T", _dataclass(cls, data, ""))


def _read_json(path: Path) -> object:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Refused(
            "bad_spec", f"{path.name} cannot be read: {error}.", "Submit the job again."
        ) from error
    return data


def _check_protocol(data: object) -> None:
    if isinstance(data, dict) and data.get("protocol") != PROTOCOL:
        raise _bad("protocol", data.get("protocol"), f"this worker speaks protocol {PROTOCOL}")


def parse_spec(data: object) -> Spec:
    """Check the content of ``spec.json``. Raises Refused (``bad_spec``)."""
    _check_protocol(data)
    spec = _dataclass(Spec, data, "")
    if spec.method not in METHODS[spec.engine]:
        known = ", ".join(METHODS[spec.engine])
        raise _bad("method", spec.method, f"{ENGINES[spec.engine]} has {known}")
    _check_ranges(spec)
    _check_early_stopping(spec)
    _check_quantization(spec)
    return spec


def _check_ranges(spec: Spec) -> None:
    parameters = spec.hyperparameters
    for name in _ABOVE_ZERO:
        value = getattr(parameters, name)
        if value is not None and not value > 0:
            raise _bad(f"hyperparameters.{name}", value, "must be above 0")
    for name in ("warmup_ratio", "adam_beta2", "weight_decay", "beta"):
        value = getattr(parameters, name)
        if not 0 <= value <= 1:
            raise _bad(f"hyperparameters.{name}", value, "must lie between 0 and 1")
    _check_rewards(parameters)
    limits = spec.sandbox
    if not (limits.seconds > 0 and limits.memory_mb > 0 and limits.file_mb > 0):
        raise _bad("sandbox", dataclasses.asdict(limits), "limits above 0")
    for name, value in (("max_seconds", spec.max_seconds), ("threads", spec.threads)):
        if value is not None and not value > 0:
            raise _bad(name, value, "must be above 0")
    lora = parameters.lora
    if lora is not None and not (lora.rank > 0 and lora.alpha > 0 and 0 <= lora.dropout < 1):
        raise _bad("hyperparameters.lora", dataclasses.asdict(lora), "rank and alpha above 0")


def _check_quantization(spec: Spec) -> None:
    asked = spec.hyperparameters.quantization
    if asked is None:
        return
    if spec.hyperparameters.lora is None:
        raise _bad("hyperparameters.quantization", asked, "needs lora: int4 is not trained itself")
    if spec.engine != "trl":
        raise _bad("hyperparameters.quantization", asked, "only engine trl has it")


def _check_early_stopping(spec: Spec) -> None:
    patience = spec.hyperparameters.early_stopping
    if patience is None:
        return
    if spec.dataset.validation is None:
        raise _bad("hyperparameters.early_stopping", patience, "needs dataset.validation")
    if spec.method == "grpo":
        raise _bad("hyperparameters.early_stopping", patience, "grpo has no validation loss")


def _check_rewards(parameters: Hyperparameters) -> None:
    if parameters.num_generations < _FEWEST_GENERATIONS:
        raise _bad("hyperparameters.num_generations", parameters.num_generations, "2 or more")
    unknown = [name for name in parameters.rewards if name not in COLUMNS]
    if unknown or not parameters.rewards:
        raise _bad("hyperparameters.rewards", parameters.rewards, f"name of {', '.join(COLUMNS)}")


def _bad(key: str, value: object, why: str) -> Refused:
    return Refused("bad_spec", f"{key} = {value!r}: {why}.", f"Correct {key} and submit again.")


def _dataclass(cls: type[Any], data: object, where: str) -> Any:
    """Build ``cls`` from a JSON object, refusing unknown, missing and mistyped keys by name."""
    if not isinstance(data, dict):
        raise _bad(where or "spec.json", data, "must be an object")
    hints = typing.get_type_hints(cls)
    prefix = f"{where}." if where else ""
    for key in data:
        if key not in hints:
            raise _bad(f"{prefix}{key}", data[key], f"unknown key; known: {', '.join(hints)}")
    for item in dataclasses.fields(cls):
        required = item.default is item.default_factory is dataclasses.MISSING
        if required and item.name not in data:
            raise _bad(f"{prefix}{item.name}", None, "is missing")
    return cls(**{key: _value(hints[key], value, f"{prefix}{key}") for key, value in data.items()})


def _value(hint: Any, value: object, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {types.UnionType, typing.Union}:
        if value is None and type(None) in arguments:
            return None
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return _value(hint, value, where)
    if origin is Literal:
        if value not in arguments:
            raise _bad(where, value, f"must be one of {', '.join(arguments)}")
    elif origin is tuple:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise _bad(where, value, "must be a list of strings")
        value = tuple(value)
    elif dataclasses.is_dataclass(hint):
        value = _dataclass(typing.cast("type[Any]", hint), value, where)
    else:
        value = _scalar(hint, value, where)
    return value


def _scalar(hint: Any, value: object, where: str) -> Any:
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise _bad(where, value, f"must be of type {hint.__name__}")
    return value
